#include "api/rest_pages.h"

#include <utility>

#include <fmt/format.h>

#include "api/rest_error.h"

namespace tflite_serving {

RestPages::RestPages(Sources sources, WorkerPool& workers, HttpHandler& next) : sources_(std::move(sources)), workers_(workers), next_(next) {}

void RestPages::Handle(HttpCall& call) {
  const std::string_view target = call.request().target;
  const auto source = sources_.find(target.substr(0, target.find('?')));
  if (source == sources_.end()) return next_.Handle(call);
  if (source->first.size() != target.size()) {
    return FinishWithError(call, InvalidArgumentError(fmt::format("Unexpected path: {}. Should be {}", target, source->first)));
  }
  std::function<void()> write = [&call, &source = source->second] {
    RestPage page = source.page();
    call.response().status = page.status;
    call.response().content_type = page.content_type;
    call.response().body = std::move(page.body);
    call.Finish();
  };
  if (!source->second.on_worker || !workers_.TrySubmit(write)) write();
}

}  // namespace tflite_serving
