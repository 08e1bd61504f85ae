// The check hook parses the URL, the assign hook takes what it has made: the value itself says nothing. State of each
// process: the target that is set, the latest that was not empty, and a count of changes.

#include "pg/base/server.h"

#include "pg/redis/target.h"

#include <initializer_list>

#include <sys/stat.h>

namespace aggcache {

uint64_t redis_target_generation = 1;

namespace {

// In place of a password, wherever it would be seen.
constexpr char kMask[] = "********";
constexpr size_t kMostUrl = 8192;

// The setting's value is always this, and what it says is beside it: the postmaster logs the text of a changed line of
// the configuration file, password and all, if the value has become another one.
constexpr char kValue[] = "(kept apart)";

struct WantedTarget {
  redis::Target target;  // with its password
  char shown[kMostUrl];  // the URL with its password masked; empty: none is set
};

char *url = nullptr;
char *password_file = nullptr;
char *secret_file = nullptr;
char *certificate_file = nullptr;

WantedTarget wanted;
// The latest that was not empty. A parallel worker is handed the setting's value, after an empty one: it means what the
// process has inherited.
WantedTarget latest;

// Reads the setting's text; false, with an error for PostgreSQL to raise, if it is no URL.
bool ParseWanted(const char *text, WantedTarget *parsed) {
  memset(static_cast<void *>(parsed), 0, sizeof(*parsed));
  if (strcmp(text, kValue) == 0)
    *parsed = latest;
  else if (*text != '\0') {
    const char *problem = redis::ParseUrl(text, &parsed->target);
    if (problem == nullptr && !redis::MaskUrl(text, kMask, parsed->shown, kMostUrl)) problem = "The URL is too long.";
    if (problem) {
      // The text is not shown: it may hold a password.
      GUC_check_errmsg("invalid value for parameter \"aggcache.redis_url\"");
      GUC_check_errdetail("%s", problem);
      return false;
    }
  }
  return true;
}

bool CheckUrl(char **value, void **extra, GucSource) {
  auto *parsed = static_cast<WantedTarget *>(compat::AllocateSetting(sizeof(WantedTarget)));
  auto *constant = static_cast<char *>(compat::AllocateSetting(sizeof(kValue)));
  if (parsed == nullptr || constant == nullptr || !ParseWanted(*value ? *value : "", parsed)) {
    if (constant) compat::FreeSetting(constant);
    if (parsed) compat::FreeSetting(parsed);
    return false;
  }
  memcpy(constant, kValue, sizeof(kValue));
  if (*value) compat::FreeSetting(*value);
  *value = constant;
  *extra = parsed;
  return true;
}

void AssignUrl(const char *, void *extra) {
  redis_target_generation++;
  wanted = *static_cast<WantedTarget *>(extra);
  if (wanted.shown[0] != '\0') latest = wanted;
}

const char *ShowUrl() { return wanted.shown; }

void AssignFile(const char *, void *) { redis_target_generation++; }

// Reads a whole file without the line ends at its end. Returns NULL, or what is wrong.
const char *ReadSmallFile(const char *path, const char *setting, char *text, size_t limit, size_t *size) {
  static char problem[MAXPGPATH + 256];
  FILE *file = AllocateFile(path, PG_BINARY_R);
  if (file == nullptr) {
    snprintf(problem, sizeof(problem), "could not open %s \"%s\": %s", setting, path, strerror(errno));
    return problem;
  }
  *size = fread(text, 1, limit, file);
  bool failed = ferror(file) != 0;
  bool more = *size == limit;
  FreeFile(file);
  if (failed || more) {
    snprintf(problem, sizeof(problem), failed ? "could not read %s \"%s\"" : "%s \"%s\" is too long", setting, path);
    return problem;
  }
  while (*size > 0 && (text[*size - 1] == '\n' || text[*size - 1] == '\r')) (*size)--;
  if (*size == 0) {
    snprintf(problem, sizeof(problem), "%s \"%s\" is empty", setting, path);
    return problem;
  }
  return nullptr;
}

bool IsPathSet(const char *setting) { return setting != nullptr && *setting != '\0'; }

}  // namespace

void DefineRedisTarget() {
  const int hidden = GUC_SUPERUSER_ONLY;
  DefineCustomStringVariable("aggcache.redis_url", "Names the Redis that results are kept in.",
                             "redis://host:port/db, unix:///path?db=n, redis-sentinel:// or redis-cluster://.", &url,
                             "", PGC_SIGHUP, hidden, CheckUrl, AssignUrl, ShowUrl);
  DefineCustomStringVariable("aggcache.redis_password_file", "Names the file with the password for Redis.",
                             "It comes before a password in aggcache.redis_url.", &password_file, "", PGC_SIGHUP,
                             hidden, nullptr, AssignFile, nullptr);
  DefineCustomStringVariable("aggcache.redis_secret_file", "Names the file with the secret that proves results.",
                             "With it, what others have put into Redis is not used.", &secret_file, "", PGC_SIGHUP,
                             hidden, nullptr, AssignFile, nullptr);
  DefineCustomStringVariable(
      "aggcache.redis_ca_file", "Names the file of certificate authorities that Redis's certificate is verified with.",
      "Empty: those of the system.", &certificate_file, "", PGC_SIGHUP, hidden, nullptr, AssignFile, nullptr);
}

bool RedisIsConfigured() { return wanted.shown[0] != '\0'; }

bool RedisIsCluster() { return wanted.target.topology == redis::Topology::kCluster; }

const char *RedisUrl() { return wanted.shown; }

uint64_t RedisTargetHash() {
  uint64_t hash = 1;
  auto add = [&hash](const void *bytes, size_t size) {
    hash = hash_bytes_extended(static_cast<const unsigned char *>(bytes), static_cast<int>(size), hash);
  };
  add(wanted.shown, strlen(wanted.shown));
  add(wanted.target.password, strlen(wanted.target.password));
  for (const char *path : {password_file, secret_file, certificate_file}) {
    if (!IsPathSet(path)) path = "";
    add(path, strlen(path) + 1);
    struct stat file;
    if (stat(path, &file) != 0) continue;
    // a file that was written or put in place has another time, and one that may be read now too
    add(&file.st_ino, sizeof(file.st_ino));
    add(&file.st_ctim, sizeof(file.st_ctim));
  }
  return hash;
}

const char *ReadRedisTarget(redis::Target *target) {
  *target = wanted.target;
  if (!IsPathSet(password_file)) return nullptr;
  size_t size;
  char password[sizeof(target->password)];
  const char *problem = ReadSmallFile(password_file, "aggcache.redis_password_file", password, sizeof(password), &size);
  if (problem) return problem;
  memset(target->password, 0, sizeof(target->password));
  memcpy(target->password, password, size);
  explicit_bzero(password, sizeof(password));
  return nullptr;
}

const char *RedisCertificateFile() { return certificate_file ? certificate_file : ""; }

const char *ReadRedisSecret(unsigned char *secret, size_t limit, size_t *size) {
  *size = 0;
  if (!IsPathSet(secret_file)) return nullptr;
  return ReadSmallFile(secret_file, "aggcache.redis_secret_file", reinterpret_cast<char *>(secret), limit, size);
}

}  // namespace aggcache
