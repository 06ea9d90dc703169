#include "storage/aws_access.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "storage/location.h"
#include "storage/text_formats.h"

namespace tflite_serving {
namespace {

using std::chrono::system_clock;

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr std::chrono::seconds kTimeout{10};         // of STS, and of a container's source
constexpr std::chrono::seconds kInstanceTimeout{2};  // on a machine that is no instance nobody answers
constexpr std::chrono::minutes kRenewBefore{5};
constexpr std::chrono::minutes kLookAgain{1};  // whether there are any by now
constexpr system_clock::time_point kForever = system_clock::time_point::max();
constexpr std::string_view kInstanceEndpoint = "http://169.254.169.254";
constexpr std::string_view kContainerHost = "http://169.254.170.2";

std::string FirstSet(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    if (std::string value = environment(name); !value.empty()) return value;
  }
  return {};
}

// Empty where there is no such file.
std::string TextOf(const std::string& path) {
  const StatusOr<std::string> text = ReadFile(path, kMaxFileBytes);
  return text.ok() ? *text : "";
}

std::string ValueOf(const TextMembers& members, std::string_view name) {
  const auto found = members.find(name);
  return found == members.end() ? "" : found->second;
}

Status Unexpected(std::string_view who, const HttpClientResponse& response) {
  return UnavailableError(response.status == 0 ? fmt::format("{} gives no credentials: {}", who, response.error)
                                               : fmt::format("{} gives no credentials: HTTP status {}", who, response.status));
}

// What AWS's local sources answer.
StatusOr<Dated<std::optional<AwsCredentials>>> ParseCredentials(std::string_view who, const std::string& json) {
  const StatusOr<TextMembers> members = ParseJsonMembers(json);
  if (!members.ok()) return UnavailableError(fmt::format("{} gives no credentials: {}", who, members.status().message()));
  AwsCredentials credentials{.access_key_id = ValueOf(*members, "AccessKeyId"),
                             .secret_access_key = ValueOf(*members, "SecretAccessKey"),
                             .session_token = ValueOf(*members, "Token")};
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return UnavailableError(fmt::format("{} gives no credentials: its answer has none", who));
  }
  return Dated<std::optional<AwsCredentials>>{std::move(credentials), ParseUtcTime(ValueOf(*members, "Expiration")).value_or(kForever)};
}

HttpClientOptions LocalOptions() { return {.connect_timeout = kInstanceTimeout, .uses_proxies = false}; }

}  // namespace

AwsSettings ReadAwsSettings(const Environment& environment) {
  AwsSettings settings{.profile = FirstSet(environment, {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}),
                       .region = FirstSet(environment, {"AWS_REGION", "AWS_DEFAULT_REGION"}),
                       .endpoint = FirstSet(environment, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}),
                       .ca_file = FirstSet(environment, {"AWS_CA_BUNDLE", "SSL_CERT_FILE"})};
  if (settings.profile.empty()) settings.profile = "default";
  if (settings.region.empty()) {
    const std::string file = environment("AWS_CONFIG_FILE");
    const std::string section = settings.profile == "default" ? "default" : "profile " + settings.profile;
    settings.region = ValueOf(ParseIniSection(TextOf(file.empty() ? HomePath(environment, ".aws/config") : file), section), "region");
  }
  if (settings.region.empty()) settings.region = "us-east-1";
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  return settings;
}

AwsAccess::AwsAccess(Environment environment, const AwsSettings& settings)
    : environment_(std::move(environment)), settings_(settings), clients_({.ca_file = settings.ca_file}), local_clients_(LocalOptions()) {}

StatusOr<std::optional<AwsCredentials>> AwsAccess::Credentials(const Cancellation& stop) {
  const system_clock::time_point now = system_clock::now();
  {
    const MutexLock lock(mutex_);
    if (found_ && (found_->good_until == kForever || now < found_->good_until - kRenewBefore)) return found_->value;
  }
  StatusOr<Found> found = Find(stop);
  const MutexLock lock(mutex_);
  if (!found.ok()) {
    if (found_ && found_->value && now < found_->good_until) return found_->value;  // for the last minutes
    return found.status();
  }
  found_ = *std::move(found);
  return found_->value;
}

StatusOr<AwsAccess::Found> AwsAccess::Find(const Cancellation& stop) {
  AwsCredentials own{.access_key_id = environment_("AWS_ACCESS_KEY_ID"),
                     .secret_access_key = environment_("AWS_SECRET_ACCESS_KEY"),
                     .session_token = environment_("AWS_SESSION_TOKEN")};
  if (!own.access_key_id.empty() && !own.secret_access_key.empty()) return Found{std::move(own), kForever};

  const std::string token_file = environment_("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (!token_file.empty() && !environment_("AWS_ROLE_ARN").empty()) return AssumeRole(token_file, stop);

  const std::string file = environment_("AWS_SHARED_CREDENTIALS_FILE");
  const TextMembers profile = ParseIniSection(TextOf(file.empty() ? HomePath(environment_, ".aws/credentials") : file), settings_.profile);
  AwsCredentials shared{.access_key_id = ValueOf(profile, "aws_access_key_id"),
                        .secret_access_key = ValueOf(profile, "aws_secret_access_key"),
                        .session_token = ValueOf(profile, "aws_session_token")};
  // A file may be written anew, by whoever keeps its keys fresh.
  if (!shared.access_key_id.empty() && !shared.secret_access_key.empty())
    return Found{std::move(shared), system_clock::now() + kRenewBefore + kLookAgain};

  const std::string relative = environment_("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) return AskContainer(fmt::format("{}{}", kContainerHost, relative), stop);
  const std::string full = environment_("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!full.empty()) return AskContainer(full, stop);

  if (environment_("AWS_EC2_METADATA_DISABLED") != "true") return AskInstance(stop);
  return Found{std::nullopt, system_clock::now() + kRenewBefore + kLookAgain};
}

StatusOr<AwsAccess::Found> AwsAccess::AssumeRole(const std::string& token_file, const Cancellation& stop) {
  TFLS_ASSIGN_OR_RETURN(const std::string token, ReadFile(token_file, kMaxFileBytes));
  std::string endpoint = environment_("AWS_ENDPOINT_URL_STS");
  if (endpoint.empty()) endpoint = fmt::format("https://sts.{}.amazonaws.com{}", settings_.region, settings_.region.starts_with("cn-") ? ".cn" : "");
  const std::string session = environment_("AWS_ROLE_SESSION_NAME");
  const std::string body = fmt::format("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
                                       EscapeUrl(environment_("AWS_ROLE_ARN"), true), EscapeUrl(session.empty() ? "tflite-serving" : session, true),
                                       EscapeUrl(token.substr(0, token.find_last_not_of(" \r\n") + 1), true));
  const HttpClientRequest request{
      .method = "POST", .url = endpoint + "/", .headers = {{"Content-Type", "application/x-www-form-urlencoded"}}, .body = body};
  const HttpClientResponse response = clients_.Send(request, Clock::Steady().Now() + kTimeout, stop);
  if (response.status != 200) {
    const std::string reason = ParseStoreError(response.body);
    return reason.empty() ? Unexpected("AWS STS", response) : UnavailableError(fmt::format("AWS STS gives no credentials: {}", reason));
  }
  AwsCredentials credentials{.access_key_id = XmlElementText(response.body, "AccessKeyId"),
                             .secret_access_key = XmlElementText(response.body, "SecretAccessKey"),
                             .session_token = XmlElementText(response.body, "SessionToken")};
  const auto end = ParseUtcTime(XmlElementText(response.body, "Expiration"));
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty() || !end)
    return UnavailableError("AWS STS gives no credentials: its answer has none");
  return Found{std::move(credentials), *end};
}

StatusOr<AwsAccess::Found> AwsAccess::AskContainer(const std::string& url, const Cancellation& stop) {
  constexpr std::string_view kWho = "the container's source of AWS credentials";
  HttpClientRequest request{.url = url};
  std::string token = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    TFLS_ASSIGN_OR_RETURN(token, ReadFile(file, kMaxFileBytes));
    token.erase(token.find_last_not_of(" \r\n") + 1);
  }
  if (!token.empty()) {
    if (!IsHttpHeader("Authorization", token)) return UnavailableError(fmt::format("{}: its token is none that HTTP can carry", kWho));
    request.headers.emplace_back("Authorization", token);
  }
  const HttpClientResponse response = local_clients_.Send(request, Clock::Steady().Now() + kTimeout, stop);
  return response.status == 200 ? ParseCredentials(kWho, response.body) : Unexpected(kWho, response);
}

StatusOr<AwsAccess::Found> AwsAccess::AskInstance(const Cancellation& stop) {
  constexpr std::string_view kWho = "the instance metadata service";
  const Found none{std::nullopt, system_clock::now() + kRenewBefore + kLookAgain};
  std::string endpoint = environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (endpoint.empty()) endpoint = kInstanceEndpoint;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const TimePoint deadline = Clock::Steady().Now() + kTimeout;
  const auto send = [&](const HttpClientRequest& request) {
    return local_clients_.Send(request, std::min(deadline, Clock::Steady().Now() + kInstanceTimeout), stop);
  };
  const HttpClientResponse token =
      send({.method = "PUT", .url = endpoint + "/latest/api/token", .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}}});
  if (token.status != 200 || !IsHttpHeader("X-aws-ec2-metadata-token", token.body)) return none;  // this is no instance
  const HttpClientHeaders headers = {{"X-aws-ec2-metadata-token", token.body}};
  const std::string roles = endpoint + "/latest/meta-data/iam/security-credentials/";
  const HttpClientResponse role = send({.url = roles, .headers = headers});
  if (role.status == 404) return none;  // the instance has no role
  if (role.status != 200) return Unexpected(kWho, role);
  const HttpClientResponse response = send({.url = roles + EscapeUrl(role.body.substr(0, role.body.find('\n'))), .headers = headers});
  return response.status == 200 ? ParseCredentials(kWho, response.body) : Unexpected(kWho, response);
}

}  // namespace tflite_serving
