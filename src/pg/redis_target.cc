#include "pg/server.h"

#include "pg/redis_target.h"

extern "C" {
#include "storage/fd.h"
}

namespace aggcache {

uint64_t redis_target_generation = 1;

namespace {

// In place of a password, wherever it would be seen.
constexpr char kMask[] = "********";
constexpr size_t kMostUrl = 8192;

char *url = nullptr;
char *password_file = nullptr;
char *secret_file = nullptr;
char *certificate_file = nullptr;

// What `url` says, with its password.
redis::Target target;

// Puts the masked URL in place of the given one, and what the given one says into *extra.
bool CheckUrl(char **value, void **extra, GucSource) {
  if (*value == nullptr || **value == '\0') return true;
  auto *parsed = static_cast<redis::Target *>(compat::AllocateSetting(sizeof(redis::Target)));
  if (parsed == nullptr) return false;
  const char *problem = redis::ParseUrl(*value, parsed);
  char *masked = problem ? nullptr : static_cast<char *>(compat::AllocateSetting(kMostUrl));
  if (problem || masked == nullptr || !redis::MaskUrl(*value, kMask, masked, kMostUrl)) {
    GUC_check_errdetail("%s", problem ? problem : "The URL is too long.");
    if (masked) compat::FreeSetting(masked);
    compat::FreeSetting(parsed);
    return false;
  }
  compat::FreeSetting(*value);
  *value = masked;
  *extra = parsed;
  return true;
}

void AssignUrl(const char *, void *extra) {
  redis_target_generation++;
  if (extra == nullptr) {
    memset(&target, 0, sizeof(target));
    return;
  }
  target = *static_cast<redis::Target *>(extra);
  // A parallel worker is handed the masked URL, after an empty one. The password it has inherited.
  static char latest_password[sizeof(target.password)];
  if (strcmp(target.password, kMask) == 0)
    memcpy(target.password, latest_password, sizeof(target.password));
  else
    memcpy(latest_password, target.password, sizeof(target.password));
}

void AssignFile(const char *, void *) { redis_target_generation++; }

// The postmaster logs the text of a changed line of the configuration file, password and all, if the setting then shows
// as something else than before. So there it always shows as the same.
const char *ShowUrl() { return IsUnderPostmaster || url == nullptr ? (url ? url : "") : kMask; }

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

bool IsSet(const char *setting) { return setting != nullptr && *setting != '\0'; }

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

bool RedisIsConfigured() { return IsSet(url); }

const char *RedisUrl() { return url ? url : ""; }

const char *ReadRedisTarget(redis::Target *wanted) {
  *wanted = target;
  if (!IsSet(password_file)) return nullptr;
  size_t size;
  char password[sizeof(wanted->password)];
  const char *problem = ReadSmallFile(password_file, "aggcache.redis_password_file", password, sizeof(password), &size);
  if (problem) return problem;
  memset(wanted->password, 0, sizeof(wanted->password));
  memcpy(wanted->password, password, size);
  explicit_bzero(password, sizeof(password));
  return nullptr;
}

const char *RedisCertificateFile() { return certificate_file ? certificate_file : ""; }

const char *ReadRedisSecret(unsigned char *secret, size_t limit, size_t *size) {
  *size = 0;
  if (!IsSet(secret_file)) return nullptr;
  return ReadSmallFile(secret_file, "aggcache.redis_secret_file", reinterpret_cast<char *>(secret), limit, size);
}

}  // namespace aggcache
