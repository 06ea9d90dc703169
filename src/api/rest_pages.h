// The REST port as a whole: pages about the server itself at their paths (metrics, health), and the REST API at all others.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "api/access_control.h"
#include "api/request_record.h"
#include "base/worker_pool.h"
#include "transport/http_call.h"

namespace tflite_serving {

struct RestPage {
  int status = 200;
  std::string_view content_type;  // a string literal
  std::string body;
};

// Thread-safe. Must outlive every call that it was handed.
class RestPages : public HttpHandler {
 public:
  // A page, now. Thread-safe. Either it takes no time, or it is written on a worker.
  struct Source {
    std::function<RestPage(const HttpRequest& request)> page;
    bool on_worker = false;
    std::optional<Scope> scope = {};  // none: for everybody
  };
  using Sources = std::map<std::string, Source, std::less<>>;  // by path

  // All is borrowed but the sources, and must outlive this object. `next` answers what is for none of them. `access`: who may ask; null: everybody.
  // Refusals have `refusal_headers` beside their own.
  RestPages(Sources sources, WorkerPool& workers, HttpHandler& next, AccessControl* access = nullptr, const RequestObservers& observers = {},
            HttpHeaders refusal_headers = {});

  // What belongs on a worker is written here if none is to be had: an overloaded server must still tell of it. Any method will do; a query is an
  // INVALID_ARGUMENT in the original's words.
  void Handle(HttpCall& call) override;
  bool RefusesUnread(HttpCall& call) override;

 private:
  // Whether the request may be answered; otherwise its response says why not, which is reported.
  bool Admit(HttpCall& call, std::optional<Scope> scope, bool take_token);

  const Sources sources_;
  WorkerPool& workers_;
  HttpHandler& next_;
  AccessControl* const access_;
  const RequestObservers observers_;
  const HttpHeaders refusal_headers_;
};

}  // namespace tflite_serving
