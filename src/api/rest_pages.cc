#include "api/rest_pages.h"

#include <utility>

#include <fmt/format.h>

#include "api/rest_error.h"
#include "codec/rest_path.h"

namespace tflite_serving {

namespace {

// What a request to the REST API asks for; nothing: everybody may, because it tells nothing.
std::optional<Scope> ScopeOf(const HttpRequest& request) {
  RestPath path;
  if (!ParseRestPath(request.method, request.target, path).ok()) return Scope::kMetadata;
  switch (path.route) {
    case RestRoute::kPredict:
    case RestRoute::kClassify:
    case RestRoute::kRegress:
      return Scope::kInference;
    case RestRoute::kStatus:
    case RestRoute::kMetadata:
    case RestRoute::kList:
      return Scope::kMetadata;
    case RestRoute::kProfile:
      return Scope::kAdmin;
    case RestRoute::kOptions:  // which browsers send without credentials
    case RestRoute::kNotApi:
      return std::nullopt;
  }
  return Scope::kAdmin;
}

}  // namespace

RestPages::RestPages(Sources sources, WorkerPool& workers, HttpHandler& next, AccessControl* access, const RequestObservers& observers)
    : sources_(std::move(sources)), workers_(workers), next_(next), access_(access), observers_(observers) {}

Status RestPages::Admit(const HttpRequest& request, std::optional<Scope> scope, bool take_token, HttpResponse& response) {
  if (access_ == nullptr || !scope) return OkStatus();
  const Status status = access_->Check(request.authorization, request.api_key, *scope, response.ids.client, take_token);
  if (status.ok()) return status;
  WriteError(status, response);
  if (status.code() == StatusCode::kUnauthenticated) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status.code() == StatusCode::kResourceExhausted) response.headers.emplace_back("Retry-After", "1");
  return status;
}

bool RestPages::RefusesUnread(const HttpRequest& head, HttpResponse& response) {
  if (const Status status = Admit(head, ScopeOf(head), false, response); !status.ok()) {
    if (observers_.metrics != nullptr) observers_.metrics->CountRefused(status.code());
    return true;
  }
  return next_.RefusesUnread(head, response);
}

void RestPages::Handle(HttpCall& call) {
  const std::string_view target = call.request().target;
  const auto source = sources_.find(target.substr(0, target.find('?')));
  const std::optional<Scope> scope = source == sources_.end() ? ScopeOf(call.request()) : source->second.scope;
  if (const Status status = Admit(call.request(), scope, true, call.response()); !status.ok()) {
    ReportRefused(observers_, call, status);
    return call.Finish();
  }
  if (source == sources_.end()) return next_.Handle(call);
  if (source->first.size() != target.size()) {
    return FinishWithError(call, InvalidArgumentError(fmt::format("Unexpected path: {}. Should be {}", target, source->first)));
  }
  std::function<void()> write = [&call, &source = source->second] {
    RestPage page = source.page(call.request());
    call.response().status = page.status;
    call.response().content_type = page.content_type;
    call.response().body = std::move(page.body);
    call.Finish();
  };
  if (!source->second.on_worker || !workers_.TrySubmit(write)) write();
}

}  // namespace tflite_serving
