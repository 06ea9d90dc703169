#include "api/metrics_handler.h"

#include <utility>

#include <fmt/format.h>

#include "api/rest_error.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

MetricsHandler::MetricsHandler(std::map<std::string, Page, std::less<>> pages, WorkerPool& workers, HttpHandler& next)
    : pages_(std::move(pages)), workers_(workers), next_(next) {}

void MetricsHandler::Handle(HttpCall& call) {
  const std::string_view target = call.request().target;
  const auto page = pages_.find(target.substr(0, target.find('?')));
  if (page == pages_.end()) return next_.Handle(call);
  if (page->first.size() != target.size()) {
    return FinishWithError(call, InvalidArgumentError(fmt::format("Unexpected path: {}. Should be {}", target, page->first)));
  }
  std::function<void()> write = [&call, &text = page->second] {
    call.response().content_type = MetricsPage::kContentType;
    call.response().body = text();
    call.Finish();
  };
  if (!workers_.TrySubmit(write)) write();
}

}  // namespace tflite_serving
