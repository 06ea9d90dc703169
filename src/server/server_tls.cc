#include "server/server_tls.h"

#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/thread.h"
#include "config/ssl_config.h"

namespace tflite_serving {

StatusOr<std::unique_ptr<ServerTls>> ServerTls::Create(const ServerOptions& options) {
  std::unique_ptr<ServerTls> tls(new ServerTls);
  if (!options.tls_certificate_file.empty()) {
    TFLS_ASSIGN_OR_RETURN(tls->rest_, TlsContext::FromFiles({.certificate_chain = options.tls_certificate_file,
                                                             .private_key = options.tls_key_file,
                                                             .client_ca = options.tls_client_ca_file,
                                                             .client_certificate_required = options.tls_require_client_certificate}));
    tls->grpc_ = tls->rest_;
    tls->watcher_ = StartThread("tls_reload", [raw = tls.get()] { raw->Watch(); });
  } else if (!options.ssl_config_file.empty()) {
    TFLS_ASSIGN_OR_RETURN(SslConfig config, ReadSslConfigFile(options.ssl_config_file));
    TFLS_ASSIGN_OR_RETURN(tls->grpc_, TlsContext::FromPem({.certificate_chain = std::move(config.server_cert),
                                                           .private_key = std::move(config.server_key),
                                                           .client_ca = config.client_verify ? std::move(config.custom_ca) : ""},
                                                          fmt::format("'{}'", options.ssl_config_file)));
  }
  return tls;
}

ServerTls::~ServerTls() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
}

void ServerTls::Collect(const HttpServer& rest, const GrpcServer* grpc, MetricsPage& page) const {
  for (size_t i = 0; i < kTlsFailureNames.size(); ++i) {
    const auto failure = static_cast<TlsFailure>(i);
    page.Add(metrics::kTlsFailures, {"rest", kTlsFailureNames[i]}, static_cast<double>(rest.num_tls_failures(failure)));
    if (grpc != nullptr) page.Add(metrics::kTlsFailures, {"grpc", kTlsFailureNames[i]}, static_cast<double>(grpc->num_tls_failures(failure)));
  }
  if (rest_ != nullptr) page.Add(metrics::kTlsExpiry, {"rest"}, static_cast<double>(rest_->expires_at()));
  if (grpc_ != nullptr) page.Add(metrics::kTlsExpiry, {"grpc"}, static_cast<double>(grpc_->expires_at()));
}

void ServerTls::Watch() {
  while (true) {
    {
      const TimePoint next = Clock::Steady().Now() + kReloadInterval;
      const MutexLock lock(mutex_);
      while (!stopping_ && wake_.WaitUntil(mutex_, next)) {
      }
      if (stopping_) return;
    }
    (void)rest_->ReloadIfChanged();  // it is logged
  }
}

}  // namespace tflite_serving
