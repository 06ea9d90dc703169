// A server's certificate, key and client CA: what every TLS handshake needs, and how it is renewed while the server runs. OpenSSL 3.
//
// TLS 1.2 and 1.3, forward-secret AEAD ciphers, no compression, no renegotiation. A client that resumes a session does so by a ticket, which no
// context but the one that made it can read; where clients are asked for a certificate there are no tickets, so that each connection shows one that
// is valid.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/mutex.h"
#include "base/status.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace tflite_serving {

// What clients must want to speak, if they say (ALPN): http/1.1 or http/1.0; h2, which they must say.
enum class TlsProtocol { kHttp, kGrpc };

// What an SSL of these contexts has as its app data while it shakes hands.
struct TlsHandshake {
  TlsProtocol protocol;
  bool lacks_alpn = false;  // the client named no protocol, and should have
};

// PEM, or the paths of files that hold it.
struct TlsSettings {
  std::string certificate_chain;  // the server's certificate, then those that lead to the root
  std::string private_key;        // not encrypted
  std::string client_ca;          // certificates, each trusted as it is, of which one must have signed a client's; empty: clients are not asked
  bool client_certificate_required = true;  // or only looked at if there is one
};

// Thread-safe.
class TlsContext {
 public:
  // INVALID_ARGUMENT for what is no certificate or key, a key that is encrypted or another certificate's; NOT_FOUND and the like for files. Messages
  // name the file, or the part of `origin`, and hold nothing of its content. A certificate that has expired is a warning in the log.
  static StatusOr<std::shared_ptr<TlsContext>> FromFiles(const TlsSettings& paths);
  static StatusOr<std::shared_ptr<TlsContext>> FromPem(const TlsSettings& pem, const std::string& origin);

  // Reads the files again if one of them has changed. Handshakes that begin from then on use what they hold now; connections that are open go on.
  // What cannot be used leaves everything as it was: that is returned each time, and logged once.
  Status ReloadIfChanged();

  // For new connections.
  std::shared_ptr<ssl_ctx_st> current() const;
  // When the certificate expires, in seconds since the epoch.
  int64_t expires_at() const;

 private:
  static constexpr size_t kNumFiles = 3;
  using Stamps = std::array<FileStamp, kNumFiles>;
  struct Loaded {
    std::shared_ptr<ssl_ctx_st> context;
    int64_t expires_at = 0;
    Stamps stamps;  // before the files were read
  };

  TlsContext(TlsSettings paths, Loaded loaded) : paths_(std::move(paths)), loaded_(std::move(loaded)) {}
  static StatusOr<Loaded> Load(const TlsSettings& pem, const std::array<std::string, kNumFiles>& names);
  static StatusOr<Loaded> LoadFiles(const TlsSettings& paths);
  static Stamps StampsOf(const TlsSettings& paths);

  const TlsSettings paths_;  // empty: there are no files
  mutable Mutex mutex_;
  Loaded loaded_ TFLS_GUARDED_BY(mutex_);
  std::string problem_ TFLS_GUARDED_BY(mutex_);  // of the last look at the files
};

}  // namespace tflite_serving
