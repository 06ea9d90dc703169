// API keys: who may ask for what, and how often (api/api_keys_file.h). A key comes as `Authorization: Bearer KEY` or `X-API-Key: KEY`, in gRPC as
// metadata of the same names in lower case.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/api_keys_file.h"
#include "api/request_record.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

// Thread-safe.
class AccessControl {
 public:
  // Longer keys are none.
  static constexpr size_t kMaxKeyChars = 256;

  // `clock` is borrowed.
  AccessControl(std::vector<ApiKey> keys, const Clock& clock);
  ~AccessControl();

  // From now on these; their rates begin anew.
  void Replace(std::vector<ApiKey> keys);

  // Whether a request with these credentials (empty: it has none) may ask for something of this scope. The client's name in `client`.
  //   UNAUTHENTICATED     no key, or none that is known
  //   PERMISSION_DENIED   the key lacks the scope
  //   RESOURCE_EXHAUSTED  the client is over its rate
  // `take_token` false: its rate is not looked at, and not used up. Every key is compared, in constant time. Refusals are logged, one line a second
  // at most.
  Status Check(std::string_view authorization, std::string_view api_key, Scope scope, std::string& client, bool take_token = true);

 private:
  static constexpr std::chrono::seconds kLogInterval{1};

  struct Client;
  Status Find(std::string_view key, Scope scope, std::string& client, bool take_token);
  using Clients = std::vector<std::unique_ptr<Client>>;

  const Clock& clock_;
  std::atomic<std::shared_ptr<const Clients>> clients_;
  Mutex log_mutex_;
  uint64_t num_refused_ TFLS_GUARDED_BY(log_mutex_) = 0;  // since the last line
  TimePoint next_line_ TFLS_GUARDED_BY(log_mutex_){};
};

// From now on these methods are called only for who may ask for something of the scope that `scope_of` their paths is. All is borrowed.
void Guard(std::span<GrpcMethod> methods, Scope (*scope_of)(std::string_view path), AccessControl& access, const RequestObservers& observers);

}  // namespace tflite_serving
