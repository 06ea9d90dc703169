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

RestPage LogLevelPage(const HttpRequest& request) {
  if (!Reads(request)) {
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

// A browser sends Origin with every change that it asks for, which it does for any page that its user looks at, also at a loopback address.
RestPages::Source AdminPage(std::function<RestPage(const HttpRequest&)> page) {
  const auto guarded = [page = std::move(page)](const HttpRequest& request) {
    if (Reads(request) || request.origin.empty()) return page(request);
    return Error({StatusCode::kPermissionDenied, "changes are not taken from web pages: the request has an Origin"});
  };
  return {.page = guarded, .scope = Scope::kAdmin};
}

}  // namespace

void AddAdminPages(RestPages::Sources& pages, std::function<void()> reload) {
  pages["/admin/log_level"] = AdminPage(LogLevelPage);
  pages["/admin/reload"] = AdminPage([reload = std::move(reload)](const HttpRequest& request) {
    if (request.method != "POST") return Error(InvalidArgumentError("POST reloads"));
    reload();
    return Text("reloading\n");
  });
}

}  // namespace tflite_serving
