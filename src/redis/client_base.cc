// ClientBase: tickets and the life of a command. A ticket is the place in the table and a number that never comes
// again, so one that was given back finds nothing.

#include "redis/client_base.h"

#include <cstdlib>
#include <new>

namespace aggcache {
namespace redis {

ClientBase::~ClientBase() noexcept {
  for (int i = 0; i < connection_count_; i++) delete connections_[i];
  free(connections_);
  for (uint32_t i = 0; i < places_used_; i++) {
    free(commands_[i].request);
    FreeReply(&commands_[i].reply);
  }
  free(commands_);
}

bool ClientBase::Prepare() noexcept {
  const uint32_t most = uint32_t{1} << kTicketIndexBits;
  if (options_.most_commands > most) options_.most_commands = most;
  commands_ = static_cast<Command *>(calloc(options_.most_commands, sizeof(Command)));
  connections_ = static_cast<Connection **>(calloc(static_cast<size_t>(most_connections_), sizeof(Connection *)));
  return commands_ != nullptr && connections_ != nullptr;
}

Connection *ClientBase::AddConnection() noexcept {
  if (connection_count_ == most_connections_) return nullptr;
  Connection *connection = new (std::nothrow) Connection(this, &outgoing_, options_.name_servers);
  if (connection == nullptr) return nullptr;
  connections_[connection_count_] = connection;
  connection_count_ = connection_count_ + 1;
  return connection;
}

Login ClientBase::DataLogin() noexcept {
  const Target &target = options_.target;
  return Login{target.user, target.password, target.database, target.topology == Topology::kSentinel, Authorities()};
}

int64_t ClientBase::ConnectDeadline(int64_t begun_deadline, int64_t now) const noexcept {
  const int64_t fresh = now + options_.connect_timeout;
  return begun_deadline > now && begun_deadline < fresh ? begun_deadline : fresh;
}

void ClientBase::SetTimeouts(int64_t connect_timeout, int64_t command_timeout) noexcept {
  options_.connect_timeout = connect_timeout;
  options_.command_timeout = command_timeout;
}

// ---- Tickets --------------------------------------------------------------------------------------------------------

Command *ClientBase::TakePlace() noexcept {
  Command *command = free_places_;
  if (command != nullptr) {
    free_places_ = command->next;
  } else if (places_used_ < options_.most_commands) {
    command = &commands_[places_used_++];
  } else {
    return nullptr;
  }
  *command = Command{};
  command->ticket = (++last_number_ << kTicketIndexBits) | static_cast<Ticket>(command - commands_);
  return command;
}

void ClientBase::Release(Command *command) noexcept {
  free(command->request);
  FreeReply(&command->reply);
  *command = Command{};
  command->next = free_places_;
  free_places_ = command;
}

Command *ClientBase::Find(Ticket ticket) const noexcept {
  const uint64_t place = ticket & ((uint64_t{1} << kTicketIndexBits) - 1);
  if (ticket == kNoTicket || place >= places_used_ || commands_[place].ticket != ticket) return nullptr;
  return &commands_[place];
}

bool ClientBase::IsDone(Ticket ticket) const noexcept {
  const Command *command = Find(ticket);
  return command == nullptr || command->is_done;
}

bool ClientBase::IsSent(Ticket ticket) const noexcept {
  const Command *command = Find(ticket);
  return command == nullptr || command->is_done || command->written == command->size;
}

Failure ClientBase::FailureOf(Ticket ticket) const noexcept {
  const Command *command = Find(ticket);
  return command == nullptr ? Failure::kLocal : command->failure;
}

const Reply &ClientBase::ReplyOf(Ticket ticket) const noexcept {
  static const Reply none{};
  const Command *command = Find(ticket);
  return command == nullptr ? none : command->reply;
}

void ClientBase::Forget(Ticket ticket) noexcept {
  Command *command = Find(ticket);
  if (command == nullptr) return;
  if (command->is_done) {
    Release(command);
  } else {
    command->is_forgotten = true;
  }
}

void ClientBase::ForgetAll() noexcept {
  for (uint32_t i = 0; i < places_used_; i++) Forget(commands_[i].ticket);
}

// ---- The life of a command ------------------------------------------------------------------------------------------

Ticket ClientBase::Refuse(const char *text) const noexcept {
  TellFailed(Failure::kLocal, text);
  return kNoTicket;
}

void ClientBase::TellFailed(Failure failure, const char *text, About about) const noexcept {
  if (options_.observer.failed != nullptr) options_.observer.failed(options_.observer.context, failure, about, text);
}

Ticket ClientBase::Submit(const Argument *arguments, int count, int64_t now) noexcept {
  return SubmitAt(count > 1 ? SlotOf(arguments[1]) : 0, arguments, count, now);
}

Ticket ClientBase::SubmitTo(int master, const Argument *arguments, int count, int64_t now) noexcept {
  return SubmitAt(~master, arguments, count, now);
}

Ticket ClientBase::SubmitAt(int32_t place, const Argument *arguments, int count, int64_t now) noexcept {
  Command *command = TakePlace();
  if (command == nullptr) return Refuse("too many commands in flight");
  if (!FormatRequest(arguments, count, &command->request, &command->size)) {
    Release(command);
    return Refuse("out of memory");
  }
  if (outgoing_.unsent_bytes > 0 && outgoing_.unsent_bytes + command->size > options_.most_bytes) {
    Release(command);
    return Refuse("too many bytes in flight");
  }
  outgoing_.unsent_bytes += command->size;
  pending_++;
  command->place = place;
  command->submitted = now;
  command->timeout = options_.command_timeout;
  command->longest = now + options_.connect_timeout + options_.command_timeout;
  command->is_repeatable = IsRepeatable(arguments, count);
  command->is_write = IsWrite(arguments);
  const Ticket ticket = command->ticket;
  Route(command, now);
  return ticket;
}

namespace {

// That a large value was too slow, too much for Redis's memory, or longer than a connection lived, says nothing of
// others.
About AboutOf(const Command &command, Failure failure) noexcept {
  const bool may_be_its_size = failure == Failure::kConnect || failure == Failure::kTimeout ||
                               failure == Failure::kOutOfMemory || failure == Failure::kReply;
  if (command.is_large && may_be_its_size) return About::kValue;
  return command.is_write && command.is_answered ? About::kWrites : About::kServer;
}

}  // namespace

void ClientBase::Complete(Command *command, Failure failure, const char *text, int64_t now) noexcept {
  outgoing_.unsent_bytes -= command->size - command->written;
  pending_--;
  free(command->request);
  command->request = nullptr;
  command->failure = failure;
  command->is_done = true;
  if (failure != Failure::kNone) {
    TellFailed(failure, text, AboutOf(*command, failure));
  } else if (options_.observer.answered != nullptr) {
    options_.observer.answered(options_.observer.context, now - command->submitted);
  }
  if (command->is_forgotten) Release(command);
}

void ClientBase::CompleteAll(CommandQueue *commands, Failure failure, const char *text, int64_t now) noexcept {
  while (Command *command = commands->TakeFirst()) Complete(command, failure, text, now);
}

void ClientBase::PutBack(Command *command) noexcept {
  outgoing_.unsent_bytes += command->written;
  command->written = 0;
  command->is_answered = false;
  command->is_large = false;
  command->is_bounded = true;
}

void ClientBase::Repeat(Command *command, int64_t now) noexcept {
  PutBack(command);
  command->is_repeated = true;
  Route(command, now);
}

void ClientBase::Answered(Connection *, Command *command, Failure failure, const char *text, int64_t now) noexcept {
  Complete(command, failure, text, now);
}

void ClientBase::Lost(Connection *connection, const Loss &loss, int64_t now) noexcept {
  SettleLoss(connection, loss, now);
}

void ClientBase::SettleLoss(Connection *connection, const Loss &loss, int64_t now) noexcept {
  CommandQueue commands;
  connection->TakeCommands(&commands);
  if (commands.IsEmpty()) return TellFailed(loss.failure, loss.text);
  const Command *large = loss.in_large ? commands.First() : nullptr;
  while (Command *command = commands.TakeFirst()) {
    // A server that closes what is idle, or was started anew, shows only when something is sent.
    if (loss.failure == Failure::kConnect && loss.was_silent && !command->is_repeated &&
        (command->is_repeatable || command->written == 0)) {
      Repeat(command, now);
    } else if (large != nullptr && command != large && command->is_repeatable && !command->is_repeated) {
      // Its time went by while it stood behind the large one.
      command->longest = now + options_.connect_timeout + command->timeout;
      Repeat(command, now);
    } else if (large != nullptr) {
      command->is_large = true;
      Complete(command, loss.failure, loss.text, now);
    } else if (loss.culprit == nullptr || loss.culprit == command) {
      Complete(command, loss.failure, loss.text, now);
    } else {
      Complete(command, Failure::kConnect, "the connection was closed for another command", now);
    }
  }
}

void ClientBase::Moved(uint64_t sent, uint64_t received) noexcept {
  if (options_.observer.moved != nullptr) options_.observer.moved(options_.observer.context, sent, received);
}

// ---- Connections ----------------------------------------------------------------------------------------------------

void ClientBase::Advance(int64_t now) noexcept {
  outgoing_.is_held = false;
  const bool even_idle = IsIdle();
  for (int i = 0; i < connection_count_; i++) connections_[i]->Advance(even_idle, now);
  AdvanceTopology(now);
}

int ClientBase::Interests(Interest *interests, int limit) const noexcept {
  int count = 0;
  for (int i = 0; i < connection_count_ && count < limit; i++)
    count += connections_[i]->Interests(interests + count, limit - count);
  return count;
}

int64_t ClientBase::Deadline() const noexcept {
  int64_t earliest = TopologyDeadline();
  for (int i = 0; i < connection_count_; i++) {
    const int64_t deadline = connections_[i]->Deadline();
    if (deadline < earliest) earliest = deadline;
  }
  return earliest;
}

void ClientBase::Close() noexcept {
  CommandQueue commands;
  for (int i = 0; i < connection_count_; i++) {
    connections_[i]->Close();
    connections_[i]->TakeCommands(&commands);
  }
  commands.TakeAll(&waiting_);
  const Observer observer = options_.observer;
  options_.observer = Observer{};
  while (Command *command = commands.TakeFirst()) {
    if (command->ticket != kNoTicket) Complete(command, Failure::kConnect, "", 0);
  }
  options_.observer = observer;
  ResetTopology();
}

void ClientBase::ShutdownSockets() const noexcept {
  for (int i = 0; i < connection_count_; i++) connections_[i]->ShutdownSocket();
}

}  // namespace redis
}  // namespace aggcache
