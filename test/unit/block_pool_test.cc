// Tests of the block pool: chains, streams over them at every block's end, and threads that take and give at once.

#include "core/block_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace aggcache {
namespace {

class BlockPoolTest : public ::testing::Test {
 protected:
  BlockPoolTest() { Format(1000); }

  void Format(uint32_t count) {
    count_ = count;
    next_.reset(new BlockPool::Link[count]);
    bytes_.reset(new unsigned char[size_t{count} * kBlockBytes]());
    BlockPool::Format(&shared_, next_.get(), count);
    pool_ = View();
  }
  BlockPool View() { return BlockPool(&shared_, next_.get(), bytes_.get(), count_); }

  BlockPool::Chain Take(uint32_t wanted) {
    BlockPool::Chain chain;
    EXPECT_TRUE(pool_.Take(wanted, &chain));
    EXPECT_EQ(chain.count, wanted);
    return chain;
  }

  // The blocks of a chain in their order.
  std::vector<uint32_t> BlocksOf(const BlockPool::Chain &chain) const {
    std::vector<uint32_t> blocks;
    for (uint32_t block = chain.first; block != kNoBlock && blocks.size() <= count_; block = pool_.Next(block))
      blocks.push_back(block);
    EXPECT_EQ(blocks.size(), chain.count);
    EXPECT_EQ(blocks.back(), chain.last);
    return blocks;
  }

  // Takes all blocks at once: none has leaked, none is there twice.
  void ExpectNoLeak() {
    EXPECT_EQ(pool_.FreeBlocks(), count_);
    const BlockPool::Chain all = Take(count_);
    const std::vector<uint32_t> blocks = BlocksOf(all);
    const std::set<uint32_t> different(blocks.begin(), blocks.end());
    EXPECT_EQ(different.size(), count_);
    EXPECT_LT(*different.rbegin(), count_);
    EXPECT_EQ(pool_.FreeBlocks(), 0u);
    pool_.Give(all);
  }

  uint32_t count_ = 0;
  BlockPool::Shared shared_;
  std::unique_ptr<BlockPool::Link[]> next_;
  std::unique_ptr<unsigned char[]> bytes_;
  BlockPool pool_;
};

std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string noise(size, '\0');
  for (char &byte : noise) byte = static_cast<char>(random());
  return noise;
}

TEST_F(BlockPoolTest, AllBlocksAreFreeAtFirst) {
  EXPECT_EQ(pool_.count(), 1000u);
  ExpectNoLeak();
}

TEST_F(BlockPoolTest, TakesChainsOfAnyLength) {
  for (uint32_t wanted : {1u, 2u, 63u, 64u, 65u, 200u, 999u, 1000u}) {
    const BlockPool::Chain chain = Take(wanted);
    BlocksOf(chain);
    EXPECT_EQ(pool_.FreeBlocks(), count_ - wanted);
    pool_.Give(chain);
    ExpectNoLeak();
  }
}

TEST_F(BlockPoolTest, ChainsAreApart) {
  std::vector<BlockPool::Chain> chains;
  for (uint32_t wanted = 1; wanted <= 44; wanted++) chains.push_back(Take(wanted));  // 990 blocks
  std::set<uint32_t> blocks;
  for (const BlockPool::Chain &chain : chains)
    for (uint32_t block : BlocksOf(chain)) EXPECT_TRUE(blocks.insert(block).second) << block;
  for (size_t i = 0; i < chains.size(); i += 2) pool_.Give(chains[i]);
  for (size_t i = 1; i < chains.size(); i += 2) {
    BlocksOf(chains[i]);  // as it was
    pool_.Give(chains[i]);
  }
  ExpectNoLeak();
}

TEST_F(BlockPoolTest, WithoutEnoughTakesNothing) {
  const BlockPool::Chain most = Take(900);
  BlockPool::Chain chain;
  chain.first = 7;
  chain.count = 8;
  EXPECT_FALSE(pool_.Take(101, &chain));
  EXPECT_FALSE(pool_.Take(UINT32_MAX, &chain));
  EXPECT_EQ(chain.first, 7u);
  EXPECT_EQ(chain.last, kNoBlock);
  EXPECT_EQ(chain.count, 8u);
  EXPECT_EQ(pool_.FreeBlocks(), 100u);
  const BlockPool::Chain rest = Take(100);
  EXPECT_FALSE(pool_.Take(1, &chain));
  pool_.Give(rest);
  pool_.Give(most);
  ExpectNoLeak();
}

TEST_F(BlockPoolTest, SmallPools) {
  for (uint32_t count : {1u, 2u, 63u, 64u, 65u, 128u}) {
    Format(count);
    ExpectNoLeak();
    std::vector<BlockPool::Chain> chains;
    for (uint32_t i = 0; i < count; i++) chains.push_back(Take(1));
    BlockPool::Chain none;
    EXPECT_FALSE(pool_.Take(1, &none));
    for (const BlockPool::Chain &chain : chains) pool_.Give(chain);
    ExpectNoLeak();
  }
}

TEST_F(BlockPoolTest, ViewsOfTheSameMemoryAgree) {
  BlockPool other = View();
  BlockPool::Chain chain;
  ASSERT_TRUE(other.Take(10, &chain));
  EXPECT_EQ(pool_.FreeBlocks(), count_ - 10);
  BlocksOf(chain);
  EXPECT_EQ(other.At(chain.last), pool_.At(chain.last));
  pool_.Give(chain);
  EXPECT_EQ(other.FreeBlocks(), count_);
  ExpectNoLeak();
}

// --- streams ---

// Two pieces with a gap between them, which begin, meet and end at all places around the ends of blocks.
TEST_F(BlockPoolTest, ReadsWhatWasWritten) {
  constexpr uint32_t kBlocks = 7, kMore = 68;
  Take(3);  // the chain is not at the beginning
  const BlockPool::Chain chain = Take(kBlocks);
  const std::string noise = Noise(kBlocks * kBlockBytes, 1);
  for (uint64_t begin : {0, 1, 100, 254, 255, 256, 257, 511, 512, 600})
    for (uint64_t size : {0, 1, 2, 255, 256, 257, 511, 512, 513, 600})
      for (uint64_t gap : {0, 1, 7, 256, 300}) {
        for (uint32_t block : BlocksOf(chain)) memset(pool_.At(block), 'x', kBlockBytes);
        BlockPool::Cursor cursor = pool_.Seek(chain.first, begin);
        pool_.Write(&cursor, noise.data(), size);
        cursor = pool_.Seek(cursor.block, cursor.offset + gap);
        pool_.Write(&cursor, noise.data() + size, kMore);

        // All of the chain, block by block, is what was written and nothing else.
        std::string expected(kBlocks * kBlockBytes, 'x');
        expected.replace(begin, size, noise, 0, size);
        expected.replace(begin + size + gap, kMore, noise, size, kMore);
        std::string all;
        for (uint32_t block : BlocksOf(chain)) all.append(reinterpret_cast<const char *>(pool_.At(block)), kBlockBytes);
        ASSERT_TRUE(all == expected) << begin << " " << size << " " << gap;

        std::string read(size + 1, 'y');  // one more, to see that it is left alone
        cursor = pool_.Seek(chain.first, begin);
        pool_.Read(&cursor, &read[0], size);
        EXPECT_EQ(read.back(), 'y');
        EXPECT_EQ(read.compare(0, size, noise, 0, size), 0);
        read.resize(gap + kMore);
        pool_.Read(&cursor, &read[0], gap + kMore);
        EXPECT_TRUE(read == expected.substr(begin + size, gap + kMore));
      }
}

TEST_F(BlockPoolTest, EqualsSeesEveryByte) {
  const BlockPool::Chain chain = Take(3);
  for (uint64_t begin : {0, 1, 255, 256}) {
    for (uint64_t size : {0, 1, 255, 256, 257, 500}) {
      const std::string noise = Noise(size, size);
      BlockPool::Cursor cursor = pool_.Seek(chain.first, begin);
      pool_.Write(&cursor, noise.data(), size);
      const BlockPool::Cursor end = cursor;
      cursor = pool_.Seek(chain.first, begin);
      EXPECT_TRUE(pool_.Equals(&cursor, noise.data(), size));
      EXPECT_EQ(cursor.block, end.block);
      EXPECT_EQ(cursor.offset, end.offset);
      for (size_t at = 0; at < size; at++) {
        std::string other = noise;
        other[at] = static_cast<char>(other[at] + 1);
        cursor = pool_.Seek(chain.first, begin);
        EXPECT_FALSE(pool_.Equals(&cursor, other.data(), size)) << begin << " " << size << " " << at;
      }
    }
  }
}

// The end of a chain is a place, and nothing is looked up for it.
TEST_F(BlockPoolTest, EndsAtTheEndOfTheLastBlock) {
  const BlockPool::Chain chain = Take(2);
  const BlockPool::Cursor end = pool_.Seek(chain.first, 2 * kBlockBytes);
  EXPECT_EQ(end.block, chain.last);
  EXPECT_EQ(end.offset, kBlockBytes);
  BlockPool::Cursor cursor = end;
  pool_.Read(&cursor, nullptr, 0);
  pool_.Write(&cursor, nullptr, 0);
  EXPECT_TRUE(pool_.Equals(&cursor, nullptr, 0));
  EXPECT_EQ(cursor.block, chain.last);
  EXPECT_EQ(cursor.offset, kBlockBytes);
}

// --- threads ---

// Chains of many lengths in a pool that is now and then empty: what one thread holds, no other writes to.
TEST_F(BlockPoolTest, BlocksHaveOneOwner) {
  constexpr uint32_t kBlocks = 200;
  Format(kBlocks);
  constexpr uint32_t kThreads = 4;
  std::atomic<uint64_t> taken{0}, refused{0}, wrong{0};
  const auto work = [&](uint32_t thread) {
    std::mt19937 random(thread);
    BlockPool pool = View();
    struct Held {
      BlockPool::Chain chain;
      uint32_t mark;
    };
    std::array<Held, 3> held = {};
    const auto ours = [&](const Held &one, bool write) {
      uint32_t count = 0;
      bool right = true;
      for (uint32_t block = one.chain.first; block != kNoBlock && count <= kBlocks; block = pool.Next(block), count++) {
        if (write)
          memset(pool.At(block), static_cast<int>(one.mark % 251), kBlockBytes);
        else
          for (uint32_t i = 0; i < kBlockBytes; i += 51) right &= pool.At(block)[i] == one.mark % 251;
      }
      return right && count == one.chain.count;
    };
    for (uint32_t step = 0; step < 20000; step++) {
      Held &one = held[random() % held.size()];
      const uint32_t most = random() % 4 == 0 ? 150 : 5;
      if (one.chain.count > 0) {
        if (!ours(one, false)) wrong++;
        pool.Give(one.chain);
        one.chain = BlockPool::Chain();
      } else if (pool.Take(1 + random() % most, &one.chain)) {
        taken++;
        one.mark = step * kThreads + thread;
        if (!ours(one, true)) wrong++;
      } else {
        refused++;
      }
      if (pool.FreeBlocks() > kBlocks) wrong++;
    }
    for (const Held &one : held)
      if (one.chain.count > 0) pool.Give(one.chain);
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; i++) threads.emplace_back(work, i);
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(taken, 1000u);
  EXPECT_GT(refused, 0u);
  ExpectNoLeak();
}

// A few blocks, so that the same one comes back on top while another thread is in the middle of a long pop: without the
// tag in the stack's head this gives a block to two.
TEST_F(BlockPoolTest, KnowsABlockThatCameBack) {
  Format(100);
  std::atomic<uint32_t> waiting{4};
  const auto work = [&](uint32_t thread) {
    waiting--;
    while (waiting > 0) std::this_thread::yield();
    std::mt19937 random(thread);
    BlockPool pool = View();
    std::array<BlockPool::Chain, 3> held;
    for (int step = 0; step < 2000000; step++) {
      BlockPool::Chain &chain = held[random() % held.size()];
      if (chain.count > 0) {
        pool.Give(chain);
        chain = BlockPool::Chain();
      } else {
        pool.Take(thread % 2 == 0 ? 50 : 1 + random() % 3, &chain);
      }
    }
    for (const BlockPool::Chain &chain : held)
      if (chain.count > 0) pool.Give(chain);
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; i++) threads.emplace_back(work, i);
  for (std::thread &thread : threads) thread.join();
  ExpectNoLeak();
}

}  // namespace
}  // namespace aggcache
