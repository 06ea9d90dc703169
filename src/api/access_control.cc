#include "api/access_control.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kBearer = "bearer ";

// The key in "Bearer KEY", whose first word may be written in any case (RFC 9110, 11.1); empty: it is of another kind.
std::string_view BearerToken(std::string_view authorization) {
  const auto equal = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); };
  const std::string_view scheme = authorization.substr(0, kBearer.size());
  if (!std::ranges::equal(kBearer, scheme, equal)) return {};
  authorization.remove_prefix(kBearer.size());
  return authorization;
}

}  // namespace

struct AccessControl::Client {
  explicit Client(ApiKey its_key) : key(std::move(its_key)), tokens(key.burst) {}

  // A bucket of `burst` tokens that fills at the rate.
  bool TakeToken(TimePoint now) {
    if (key.rate_per_second == 0) return true;
    const MutexLock lock(mutex);
    if (filled != TimePoint{}) tokens = std::min(key.burst, tokens + key.rate_per_second * std::chrono::duration<double>(now - filled).count());
    filled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  const ApiKey key;
  Mutex mutex;
  double tokens TFLS_GUARDED_BY(mutex);
  TimePoint filled TFLS_GUARDED_BY(mutex){};
};

AccessControl::AccessControl(std::vector<ApiKey> keys, const Clock& clock) : clock_(clock) { Replace(std::move(keys)); }
AccessControl::~AccessControl() = default;

void AccessControl::Replace(std::vector<ApiKey> keys) {
  auto clients = std::make_shared<Clients>();
  for (ApiKey& key : keys) clients->push_back(std::make_unique<Client>(std::move(key)));
  clients_.store(std::move(clients));
}

Status AccessControl::Check(std::string_view authorization, std::string_view api_key, Scope scope, std::string& client, bool take_token) {
  Status status = Find(api_key.empty() ? BearerToken(authorization) : api_key, scope, client, take_token);
  if (status.ok()) return status;
  uint64_t num_refused = 0;
  {
    const MutexLock lock(log_mutex_);
    ++num_refused_;
    const TimePoint now = clock_.Now();
    if (now < next_line_) return status;
    next_line_ = now + kLogInterval;
    num_refused = std::exchange(num_refused_, 0);
  }
  TFLS_WARNING("{} request(s) refused; the last one: {}", num_refused, status.message());
  return status;
}

Status AccessControl::Find(std::string_view key, Scope scope, std::string& client, bool take_token) {
  if (key.empty()) return {StatusCode::kUnauthenticated, "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"};
  const std::shared_ptr<const Clients> clients = clients_.load();
  Client* found = nullptr;
  if (key.size() <= kMaxKeyChars) {
    const Sha256Digest digest = Sha256(key);
    for (const auto& known : *clients) {
      if (CRYPTO_memcmp(known->key.digest.data(), digest.data(), digest.size()) == 0) found = known.get();
    }
  }
  if (found == nullptr) return {StatusCode::kUnauthenticated, "the API key is not known"};
  client.assign(found->key.name);
  if (!found->key.has(scope)) {
    return {StatusCode::kPermissionDenied, fmt::format("the API key of {} is not for {}", found->key.name, ScopeName(scope))};
  }
  if (take_token && !found->TakeToken(clock_.Now())) {
    return ResourceExhaustedError(fmt::format("{} has had its {} requests a second; try again later", found->key.name, found->key.rate_per_second));
  }
  return OkStatus();
}

void Guard(std::span<GrpcMethod> methods, Scope (*scope_of)(std::string_view), AccessControl& access, const RequestObservers& observers) {
  for (GrpcMethod& method : methods) {
    method.handler = [inner = std::move(method.handler), scope = scope_of(method.path), &access, &observers](GrpcCall& call) {
      const Status status = access.Check(call.metadata("authorization"), call.metadata("x-api-key"), scope, call.ids().client);
      if (status.ok()) return inner(call);
      ReportRefused(observers, call, status);
      call.Finish(status);
    };
  }
}

}  // namespace tflite_serving
