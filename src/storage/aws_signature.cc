#include "storage/aws_signature.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "storage/digest.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kService = "s3";

std::string SmallLetters(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

struct UrlParts {
  std::string host;   // as curl sends it: without the scheme's own port
  std::string path;   // at least "/"
  std::string query;  // its parameters sorted, each with "="
};

UrlParts Split(std::string_view url) {
  const bool is_https = url.starts_with("https:");
  url.remove_prefix(url.find("//") + 2);
  std::string_view host = url.substr(0, url.find_first_of("/?"));
  url.remove_prefix(host.size());
  const std::string_view own_port = is_https ? ":443" : ":80";
  if (host.ends_with(own_port)) host.remove_suffix(own_port.size());
  const size_t query_at = std::min(url.find('?'), url.size());
  std::vector<std::string> parameters;
  for (std::string_view rest = url.substr(query_at); rest.size() > 1;) {
    rest.remove_prefix(1);
    const std::string_view one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(one.size());
    parameters.push_back(fmt::format("{}{}", one, one.find('=') == std::string_view::npos ? "=" : ""));
  }
  std::ranges::sort(parameters);
  return {.host = std::string(host),
          .path = query_at == 0 ? "/" : std::string(url.substr(0, query_at)),
          .query = fmt::format("{}", fmt::join(parameters, "&"))};
}

}  // namespace

void SignForAws(HttpClientRequest& request, const AwsCredentials& credentials, const std::string& region, std::chrono::system_clock::time_point now) {
  const std::string time = fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  const std::string body_digest = Hex(Sha256Of(request.body));
  request.headers.emplace_back("X-Amz-Date", time);
  request.headers.emplace_back("X-Amz-Content-Sha256", body_digest);
  if (!credentials.session_token.empty()) request.headers.emplace_back("X-Amz-Security-Token", credentials.session_token);

  const UrlParts url = Split(request.url);
  std::map<std::string, std::string> headers = {{"host", url.host}};
  for (const auto& [name, value] : request.headers) {
    if (std::string small = SmallLetters(name); small.starts_with("x-amz-")) headers.emplace(std::move(small), value);
  }
  std::string lines;
  std::vector<std::string> names;
  for (const auto& [name, value] : headers) {
    lines += fmt::format("{}:{}\n", name, value);
    names.push_back(name);
  }
  const std::string signed_names = fmt::format("{}", fmt::join(names, ";"));
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, url.path, url.query, lines, signed_names, body_digest);

  const std::string day = time.substr(0, time.find('T'));
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", day, region, kService);
  const std::string text = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, scope, Hex(Sha256Of(canonical)));
  std::string key = HmacSha256("AWS4" + credentials.secret_access_key, day);
  for (const std::string_view part : {std::string_view(region), kService, std::string_view("aws4_request")}) key = HmacSha256(key, part);
  request.headers.emplace_back("Authorization", fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                                            credentials.access_key_id, scope, signed_names, Hex(HmacSha256(key, text))));
}

}  // namespace tflite_serving
