#include "storage/google_access.h"

#include <charconv>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json_escape.h"
#include "storage/digest.h"
#include "storage/location.h"

namespace tflite_serving {
namespace {

using std::chrono::system_clock;

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr std::chrono::seconds kTimeout{10};
constexpr std::chrono::seconds kMachineTimeout{2};  // elsewhere nobody answers
constexpr std::chrono::minutes kRenewBefore{5};
constexpr std::chrono::minutes kLookAgain{1};  // whether there is a metadata server by now
constexpr std::chrono::hours kAssertionTime{1};
constexpr std::string_view kScope = "https://www.googleapis.com/auth/devstorage.read_only";
constexpr std::string_view kTokenUrl = "https://oauth2.googleapis.com/token";

std::string ValueOf(const TextMembers& members, std::string_view name) {
  const auto found = members.find(name);
  return found == members.end() ? "" : found->second;
}

StatusOr<Dated<std::string>> ParseToken(std::string_view who, const HttpClientResponse& response) {
  const StatusOr<TextMembers> members = ParseJsonMembers(response.body);
  if (response.status != 200) {
    const std::string reason = members.ok() ? ValueOf(*members, "error_description") : "";
    return UnavailableError(fmt::format("{} gives no token: {}", who,
                                        response.status == 0 ? response.error
                                        : reason.empty()     ? fmt::format("HTTP status {}", response.status)
                                                             : reason));
  }
  std::string token = members.ok() ? ValueOf(*members, "access_token") : "";
  if (token.empty() || !IsHttpHeader("Authorization", token)) return UnavailableError(fmt::format("{} gives no token: its answer has none", who));
  int seconds = 0;
  const std::string lifetime = ValueOf(*members, "expires_in");
  std::from_chars(lifetime.data(), lifetime.data() + lifetime.size(), seconds);
  return Dated<std::string>{std::move(token), system_clock::now() + std::chrono::seconds(seconds)};
}

}  // namespace

GoogleAccess::GoogleAccess(Environment environment)
    : environment_(std::move(environment)),
      clients_({.ca_file = environment_("SSL_CERT_FILE")}),
      local_clients_({.connect_timeout = kMachineTimeout, .uses_proxies = false}) {}

StatusOr<std::string> GoogleAccess::Token(const Cancellation& stop) {
  const system_clock::time_point now = system_clock::now();
  {
    const MutexLock lock(mutex_);
    if (found_ && now < found_->good_until - kRenewBefore) return found_->value;
  }
  StatusOr<Found> found = Find(stop);
  const MutexLock lock(mutex_);
  if (!found.ok()) {
    if (found_ && !found_->value.empty() && now < found_->good_until) return found_->value;  // for the last minutes
    return found.status();
  }
  found_ = *std::move(found);
  return found_->value;
}

StatusOr<GoogleAccess::Found> GoogleAccess::Find(const Cancellation& stop) {
  std::string path = environment_("GOOGLE_APPLICATION_CREDENTIALS");
  if (path.empty()) {
    path = HomePath(environment_, ".config/gcloud/application_default_credentials.json");
    const StatusOr<FileKind> kind = GetFileKind(path);
    if (!kind.ok() || *kind != FileKind::kFile) return AskMachine(stop);
  }
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  const StatusOr<TextMembers> account = ParseJsonMembers(text);
  if (!account.ok()) return Status(StatusCode::kUnauthenticated, fmt::format("{}: {}", path, account.status().message()));
  const std::string type = ValueOf(*account, "type");
  if (type == "service_account") {
    StatusOr<Found> found = ByServiceAccount(*account, stop);
    return found.ok() ? std::move(found) : StatusOr<Found>(Status(found.status().code(), fmt::format("{}: {}", path, found.status().message())));
  }
  if (type == "authorized_user") {
    const std::string body =
        fmt::format("grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}", EscapeUrl(ValueOf(*account, "client_id"), true),
                    EscapeUrl(ValueOf(*account, "client_secret"), true), EscapeUrl(ValueOf(*account, "refresh_token"), true));
    const std::string url = ValueOf(*account, "token_uri");
    return AskForToken(url.empty() ? std::string(kTokenUrl) : url, body, stop);
  }
  return Status(
      StatusCode::kUnauthenticated,
      fmt::format("{}: its type is \"{}\", expected \"service_account\" or \"authorized_user\"; Workload Identity on GKE needs no file", path, type));
}

StatusOr<GoogleAccess::Found> GoogleAccess::ByServiceAccount(const TextMembers& account, const Cancellation& stop) {
  std::string url = ValueOf(account, "token_uri");
  if (url.empty()) url = kTokenUrl;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch());
  const auto quoted = [](std::string_view text) {
    std::string json;
    AppendJsonString(json, text);
    return json;
  };
  const std::string header = fmt::format(R"({{"alg":"RS256","typ":"JWT","kid":{}}})", quoted(ValueOf(account, "private_key_id")));
  const std::string claims = fmt::format(R"({{"iss":{},"scope":"{}","aud":{},"iat":{},"exp":{}}})", quoted(ValueOf(account, "client_email")), kScope,
                                         quoted(url), now.count(), (now + kAssertionTime).count());
  const std::string assertion = fmt::format("{}.{}", Base64Url(header), Base64Url(claims));
  const StatusOr<std::string> signature = SignRs256(ValueOf(account, "private_key"), assertion);
  if (!signature.ok()) return Status(StatusCode::kUnauthenticated, fmt::format("private_key: {}", signature.status().message()));
  return AskForToken(
      url,
      fmt::format("grant_type={}&assertion={}.{}", EscapeUrl("urn:ietf:params:oauth:grant-type:jwt-bearer", true), assertion, Base64Url(*signature)),
      stop);
}

StatusOr<GoogleAccess::Found> GoogleAccess::AskForToken(const std::string& url, const std::string& body, const Cancellation& stop) {
  const HttpClientRequest request{.method = "POST", .url = url, .headers = {{"Content-Type", "application/x-www-form-urlencoded"}}, .body = body};
  return ParseToken(url, clients_.Send(request, Clock::Steady().Now() + kTimeout, stop));
}

StatusOr<GoogleAccess::Found> GoogleAccess::AskMachine(const Cancellation& stop) {
  std::string host = environment_("GCE_METADATA_HOST");
  if (host.empty()) host = "metadata.google.internal";
  const HttpClientRequest request{.url = fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token", host),
                                  .headers = {{"Metadata-Flavor", "Google"}}};
  const HttpClientResponse response = local_clients_.Send(request, Clock::Steady().Now() + kMachineTimeout, stop);
  // This is none of Google's machines, or it has no service account.
  if (response.status == 0 || response.status == 404) return Found{"", system_clock::now() + kRenewBefore + kLookAgain};
  return ParseToken("the metadata server", response);
}

}  // namespace tflite_serving
