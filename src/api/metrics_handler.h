// The REST port as a whole: pages of metrics at their paths, and the REST API at all others.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/worker_pool.h"
#include "transport/http_call.h"

namespace tflite_serving {

// Thread-safe. Must outlive every call that it was handed.
class MetricsHandler : public HttpHandler {
 public:
  // The text of a page, now (MetricsPage::Text). Thread-safe.
  using Page = std::function<std::string()>;

  // `pages` by their paths; `next` answers what is for none of them. All is borrowed but the pages, and must outlive this object.
  MetricsHandler(std::map<std::string, Page, std::less<>> pages, WorkerPool& workers, HttpHandler& next);

  // A page is written on a worker, or here if none is to be had: an overloaded server must still tell of it. Any method will do; a query is an
  // INVALID_ARGUMENT in the original's words.
  void Handle(HttpCall& call) override;
  bool RefusesUnread(const HttpRequest& head, HttpResponse& response) override { return next_.RefusesUnread(head, response); }

 private:
  const std::map<std::string, Page, std::less<>> pages_;
  WorkerPool& workers_;
  HttpHandler& next_;
};

}  // namespace tflite_serving
