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

RestPages::RestPages(Sources sources, WorkerPool& workers, HttpHandler& next, AccessControl* access, const RequestObservers& observers,
                     HttpHeaders refusal_headers)
    : sources_(std::move(sources)),
      workers_(workers),
      next_(next),
      access_(access),
      observers_(observers),
      refusal_headers_(std::move(refusal_headers)) {}

bool RestPages::Admit(HttpCall& call, std::optional<Scope> scope, bool take_token) {
  if (!scope) return true;
  HttpResponse& response = call.response();
  const Status status = access_->Check(call.request().authorization, call.request().api_key, *scope, response.ids.client, take_token);
  if (status.ok()) return true;
  response.headers = refusal_headers_;
  WriteError(status, response);
  if (status.code() == StatusCode::kUnauthenticated) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status.code() == StatusCode::kResourceExhausted) response.headers.emplace_back("Retry-After", "1");
  ReportRefused(observers_, call, status);
  return false;
}

bool RestPages::RefusesUnread(HttpCall& call) {
  return (access_ != nullptr && !Admit(call, ScopeOf(call.request()), false)) || next_.RefusesUnread(call);
}

void RestPages::Handle(HttpCall& call) {
  const std::string_view target = call.request().target;
  const auto source = sources_.find(target.substr(0, target.find('?')));
  const bool is_page = source != sources_.end();
  if (access_ != nullptr && !Admit(call, is_page ? source->second.scope : ScopeOf(call.request()), true)) return call.Finish();
  if (!is_page) return next_.Handle(call);
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
