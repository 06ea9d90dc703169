#include "server/admin_pages.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "api/rest_error.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr std::array kLevels = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError};

RestPage Text(std::string text) { return {.content_type = "text/plain", .body = std::move(text)}; }

RestPage Error(const Status& status) {
  HttpResponse response;
  WriteError(status, response);
  return {.status = response.status, .content_type = response.content_type, .body = std::move(response.body)};
}

bool Reads(const HttpRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

// A change that a browser asks for. It sends Origin with every one, and may do so for any page that its user looks at, also to a loopback address.
bool ComesFromAPage(const HttpRequest& request) { return !request.origin.empty(); }

RestPage RefusePage() { return Error({StatusCode::kPermissionDenied, "changes are not taken from web pages: the request has an Origin"}); }

RestPage LogLevelPage(const HttpRequest& request) {
  if (!Reads(request)) {
    if (ComesFromAPage(request)) return RefusePage();
    if (request.method != "PUT" && request.method != "POST") return Error(InvalidArgumentError("GET tells the level, PUT changes it"));
    std::string_view word(request.body.data(), request.body.size());
    word = word.substr(0, word.find_last_not_of(" \r\n") + 1);
    bool is_known = false;
    for (const LogLevel level : kLevels) {
      if (word != LogLevelName(level)) continue;
      is_known = true;
      SetLogLevel(level);
    }
    if (!is_known) return Error(InvalidArgumentError("expected a body of debug, info, warning or error"));
    TFLS_WARNING("The log's level is {} now", word);
  }
  return Text(fmt::format("{}\n", LogLevelName(CurrentLogLevel())));
}

}  // namespace

void AddAdminPages(RestPages::Sources& pages, std::function<void()> reload) {
  pages["/admin/log_level"] = {.page = LogLevelPage, .scope = Scope::kAdmin};
  pages["/admin/reload"] = {.page =
                                [reload = std::move(reload)](const HttpRequest& request) {
                                  if (request.method != "POST") return Error(InvalidArgumentError("POST reloads"));
                                  if (ComesFromAPage(request)) return RefusePage();
                                  reload();
                                  return Text("reloading\n");
                                },
                            .scope = Scope::kAdmin};
}

}  // namespace tflite_serving
