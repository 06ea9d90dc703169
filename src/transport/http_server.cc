#include "transport/http_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <boost/system/system_error.hpp>

#include "base/mutex.h"
#include "base/thread.h"
#include "transport/http_acceptor.h"
#include "transport/http_loop.h"
#include "transport/tcp_listener.h"

namespace tflite_serving {
namespace {

size_t ConnectionsByDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<size_t>::max();
  const size_t reserved = std::min<size_t>(limit.rlim_cur / 4, kMaxReservedDescriptors);
  return std::max<size_t>(limit.rlim_cur - reserved, 1);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, HttpHandler& handler, std::vector<TcpListener> listeners)
      : options_(std::move(options)), port_(listeners.front().port) {
    for (int i = 0; i < options_.num_threads; ++i) loops_.push_back(std::make_unique<HttpLoop>(handler, options_.limits, options_.error_headers));
    for (TcpListener& listener : listeners) {
      acceptors_.push_back(std::make_unique<HttpAcceptor>(std::move(listener.socket), loops_, options_.max_connections));
    }
  }

  uint16_t port() const { return port_; }

  size_t num_connections() const {
    size_t sum = 0;
    for (const std::unique_ptr<HttpLoop>& loop : loops_) sum += loop->num_connections();
    return sum;
  }

  void Start() {
    for (const std::unique_ptr<HttpAcceptor>& acceptor : acceptors_) acceptor->Start();
    {
      const MutexLock lock(mutex_);
      num_running_ = loops_.size();
    }
    for (const std::unique_ptr<HttpLoop>& loop : loops_) {
      threads_.push_back(StartThread("http_io", [this, &loop] {
        loop->Run();
        const MutexLock lock(mutex_);
        --num_running_;
        stopped_.NotifyAll();
      }));
    }
  }

  void Shutdown(TimePoint deadline) {
    if (threads_.empty()) return;
    // By way of the thread that accepts, so that each loop hears of its last connection before it hears that it is the last.
    asio::post(loops_.front()->io(), [this] {
      for (const std::unique_ptr<HttpAcceptor>& acceptor : acceptors_) acceptor->Stop();
      for (const std::unique_ptr<HttpLoop>& loop : loops_) loop->Drain();
    });
    if (!WaitUntilStopped(deadline)) {
      for (const std::unique_ptr<HttpLoop>& loop : loops_) loop->Abort();
    }
    threads_.clear();  // joins
  }

 private:
  bool WaitUntilStopped(TimePoint deadline) {
    const MutexLock lock(mutex_);
    while (num_running_ > 0) {
      if (!stopped_.WaitUntil(mutex_, deadline) && num_running_ > 0) return false;
    }
    return true;
  }

  const HttpServerOptions options_;
  const uint16_t port_;
  std::vector<std::unique_ptr<HttpLoop>> loops_;
  std::vector<std::unique_ptr<HttpAcceptor>> acceptors_;
  Mutex mutex_;
  CondVar stopped_;
  size_t num_running_ TFLS_GUARDED_BY(mutex_) = 0;
  std::vector<std::jthread> threads_;
};

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(HttpServerOptions options, HttpHandler& handler) {
  if (options.num_threads < 1) return InvalidArgumentError(fmt::format("the HTTP server needs at least 1 thread, got {}", options.num_threads));
  if (options.limits.min_bytes_per_second < 1) return InvalidArgumentError("min_bytes_per_second must be at least 1, got 0");
  if (options.max_connections == 0) options.max_connections = ConnectionsByDescriptorLimit();
  TFLS_ASSIGN_OR_RETURN(std::vector<TcpListener> listeners, ListenOnTcp(options.addresses, options.port));
  try {
    return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(std::move(options), handler, std::move(listeners))));
  } catch (const boost::system::system_error& error) {  // Asio's way to say that there is no descriptor for an event loop
    return ErrnoToStatus(error.code().value(), "cannot start the HTTP event loops");
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Shutdown(Clock::Steady().Now()); }

uint16_t HttpServer::port() const { return impl_->port(); }
size_t HttpServer::num_connections() const { return impl_->num_connections(); }
void HttpServer::Start() { impl_->Start(); }
void HttpServer::Shutdown(TimePoint deadline) { impl_->Shutdown(deadline); }

}  // namespace tflite_serving
