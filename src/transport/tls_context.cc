#include "transport/tls_context.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <climits>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// Of a file: a bundle of all public roots has a quarter of it.
constexpr size_t kMaxPemBytes = size_t{1} << 20;
// Of TLS 1.2; all of TLS 1.3's are as good.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr uint64_t kOptions =
    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF;  // HTTP and HTTP/2 tell a message that is cut off by themselves
// The protocols as ALPN lists them.
constexpr std::string_view kHttpAlpn = "\x08http/1.1\x08http/1.0";
constexpr std::string_view kGrpcAlpn = "\x02h2";

template <typename T, void (*kFree)(T*)>
struct Deleter {
  void operator()(T* object) const { kFree(object); }
};
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO, BIO_free_all>>;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// OpenSSL's words for what went wrong last. They hold no input.
std::string_view Reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "unknown error" : reason;
}

Status Refuse(std::string_view name, std::string_view what) { return InvalidArgumentError(fmt::format("{}: {}", name, what)); }

Memory Open(std::string_view pem) { return Memory(pem.size() > INT_MAX ? nullptr : BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// All of them, at least one.
StatusOr<std::vector<Certificate>> ReadCertificates(std::string_view pem, std::string_view name) {
  ERR_clear_error();
  const Memory memory = Open(pem);
  if (memory == nullptr) return ResourceExhaustedError(fmt::format("{}: no memory", name));
  std::vector<Certificate> certificates;
  while (X509* const certificate = PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(certificate);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return Refuse(name, fmt::format("certificate {} is not valid PEM: {}", certificates.size() + 1, Reason()));
  if (certificates.empty()) return Refuse(name, "no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  ERR_clear_error();
  return certificates;
}

// What OpenSSL calls for a passphrase; otherwise it would ask at the terminal.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

StatusOr<Key> ReadKey(std::string_view pem, std::string_view name) {
  ERR_clear_error();
  const Memory memory = Open(pem);
  if (memory == nullptr) return ResourceExhaustedError(fmt::format("{}: no memory", name));
  bool is_encrypted = false;
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, NoPassphrase, &is_encrypted));
  if (is_encrypted) return Refuse(name, "the key is encrypted; openssl pkey -in FILE -out FILE writes it without a passphrase");
  if (key == nullptr) return Refuse(name, "no private key in PEM (-----BEGIN PRIVATE KEY-----)");
  return key;
}

int64_t ToSeconds(const ASN1_TIME* time) {
  std::tm broken_down{};
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? static_cast<int64_t>(::timegm(&broken_down)) : 0;
}

std::string Date(int64_t seconds) { return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(seconds))); }

void WarnOfDates(const Certificate& certificate, std::string_view name) {
  const auto now = static_cast<int64_t>(std::time(nullptr));
  const int64_t begin = ToSeconds(X509_get0_notBefore(certificate.get()));
  const int64_t end = ToSeconds(X509_get0_notAfter(certificate.get()));
  if (end < now) TFLS_WARNING("{}: the certificate expired on {}", name, Date(end));
  if (begin > now) TFLS_WARNING("{}: the certificate is valid from {} only", name, Date(begin));
}

// OpenSSL calls these two ----

int OnClientHello(SSL* ssl, int* alert, void*) {
  auto* const handshake = static_cast<TlsHandshake*>(SSL_get_app_data(ssl));
  const unsigned char* data = nullptr;
  size_t size = 0;
  if (handshake->protocol != TlsProtocol::kGrpc) return SSL_CLIENT_HELLO_SUCCESS;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size) == 1) return SSL_CLIENT_HELLO_SUCCESS;
  handshake->lacks_alpn = true;
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int SelectProtocol(SSL* ssl, const unsigned char** selected, unsigned char* size, const unsigned char* offered, unsigned int offered_size, void*) {
  const auto* const handshake = static_cast<const TlsHandshake*>(SSL_get_app_data(ssl));
  const std::string_view ours = handshake->protocol == TlsProtocol::kGrpc ? kGrpcAlpn : kHttpAlpn;
  unsigned char* choice = nullptr;
  const int found = SSL_select_next_proto(&choice, size, Bytes(ours), static_cast<unsigned>(ours.size()), offered, offered_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *selected = choice;
  return SSL_TLSEXT_ERR_OK;
}

// ----

Status AskForClientCertificates(SSL_CTX* context, const std::string& pem, const std::string& name, bool required) {
  static constexpr unsigned char kSessionContext[] = "tflite_serving";
  TFLS_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities, ReadCertificates(pem, name));
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const Certificate& authority : authorities) {
    WarnOfDates(authority, name);
    if (X509_STORE_add_cert(store, authority.get()) != 1 || SSL_CTX_add_client_CA(context, authority.get()) != 1) return Refuse(name, Reason());
  }
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext) - 1);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  return OkStatus();
}

StatusOr<std::shared_ptr<SSL_CTX>> NewContext() {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return ResourceExhaustedError(fmt::format("cannot make a TLS context: {}", Reason()));
  if (SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1) {
    return InternalError(fmt::format("OpenSSL refuses TLS 1.2: {}", Reason()));
  }
  SSL_CTX_set_options(context.get(), kOptions);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context.get(), 1);  // one call to the kernel for a record, not two
  SSL_CTX_set_client_hello_cb(context.get(), OnClientHello, nullptr);
  SSL_CTX_set_alpn_select_cb(context.get(), SelectProtocol, nullptr);
  return context;
}

// A private key's text, which does not stay in memory.
struct Secret {
  ~Secret() { OPENSSL_cleanse(text.data(), text.size()); }
  std::string& text;
};

}  // namespace

StatusOr<TlsContext::Loaded> TlsContext::Load(const TlsSettings& pem, const std::array<std::string, kNumFiles>& names) {
  const auto& [chain_name, key_name, ca_name] = names;
  TFLS_ASSIGN_OR_RETURN(const std::shared_ptr<SSL_CTX> context, NewContext());
  TFLS_ASSIGN_OR_RETURN(const std::vector<Certificate> chain, ReadCertificates(pem.certificate_chain, chain_name));
  TFLS_ASSIGN_OR_RETURN(const Key key, ReadKey(pem.private_key, key_name));
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context.get(), chain.front().get()) != 1) return Refuse(chain_name, Reason());
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1) return Refuse(chain_name, fmt::format("certificate {}: {}", i + 1, Reason()));
  }
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    return Refuse(key_name, fmt::format("the key does not belong to the first certificate of {}", chain_name));
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) return Refuse(key_name, Reason());
  if (!pem.client_ca.empty()) {
    TFLS_RETURN_IF_ERROR(AskForClientCertificates(context.get(), pem.client_ca, ca_name, pem.client_certificate_required));
  }
  WarnOfDates(chain.front(), chain_name);
  return Loaded{.context = context, .expires_at = ToSeconds(X509_get0_notAfter(chain.front().get()))};
}

TlsContext::Stamps TlsContext::StampsOf(const TlsSettings& paths) {
  const auto stamp = [](const std::string& path) {
    const StatusOr<FileStamp> found = path.empty() ? FileStamp() : GetFileStamp(path);
    return found.ok() ? *found : FileStamp();
  };
  return {stamp(paths.certificate_chain), stamp(paths.private_key), stamp(paths.client_ca)};
}

StatusOr<TlsContext::Loaded> TlsContext::LoadFiles(const TlsSettings& paths) {
  const Stamps stamps = StampsOf(paths);
  TlsSettings pem{.client_certificate_required = paths.client_certificate_required};
  TFLS_ASSIGN_OR_RETURN(pem.certificate_chain, ReadFile(paths.certificate_chain, kMaxPemBytes));
  if (!paths.client_ca.empty()) {
    TFLS_ASSIGN_OR_RETURN(pem.client_ca, ReadFile(paths.client_ca, kMaxPemBytes));
    if (pem.client_ca.empty()) return Refuse(paths.client_ca, "the file is empty");  // which must not mean that nobody is asked
  }
  const Secret secret{pem.private_key};
  TFLS_ASSIGN_OR_RETURN(pem.private_key, ReadFile(paths.private_key, kMaxPemBytes));
  TFLS_ASSIGN_OR_RETURN(Loaded loaded, Load(pem, {paths.certificate_chain, paths.private_key, paths.client_ca}));
  loaded.stamps = stamps;
  return loaded;
}

StatusOr<std::shared_ptr<TlsContext>> TlsContext::FromFiles(const TlsSettings& paths) {
  TFLS_ASSIGN_OR_RETURN(Loaded loaded, LoadFiles(paths));
  return std::shared_ptr<TlsContext>(new TlsContext(paths, std::move(loaded)));
}

StatusOr<std::shared_ptr<TlsContext>> TlsContext::FromPem(const TlsSettings& pem, const std::string& origin) {
  const auto part = [&](std::string_view what) { return fmt::format("the {} in {}", what, origin); };
  TFLS_ASSIGN_OR_RETURN(Loaded loaded, Load(pem, {part("server's certificate"), part("server's key"), part("CA of clients")}));
  return std::shared_ptr<TlsContext>(new TlsContext({}, std::move(loaded)));
}

Status TlsContext::ReloadIfChanged() {
  if (paths_.certificate_chain.empty()) return OkStatus();
  const Stamps stamps = StampsOf(paths_);
  Stamps before;
  {
    const MutexLock lock(mutex_);
    before = loaded_.stamps;
    if (stamps == before) problem_.clear();
  }
  if (stamps == before) return OkStatus();
  StatusOr<Loaded> loaded = LoadFiles(paths_);
  bool is_news = false;
  {
    const MutexLock lock(mutex_);
    if (loaded_.stamps != before) return OkStatus();  // another thread was quicker
    is_news = loaded.ok() || problem_ != loaded.status().message();
    problem_ = loaded.ok() ? "" : loaded.status().message();
    if (loaded.ok()) loaded_ = *loaded;
  }
  if (is_news && loaded.ok()) TFLS_INFO("TLS: read {} again; it expires on {}", paths_.certificate_chain, Date(loaded->expires_at));
  if (is_news && !loaded.ok()) TFLS_WARNING("TLS: the certificates stay as they were: {}", loaded.status().message());
  return loaded.status();
}

std::shared_ptr<SSL_CTX> TlsContext::current() const {
  const MutexLock lock(mutex_);
  return loaded_.context;
}

int64_t TlsContext::expires_at() const {
  const MutexLock lock(mutex_);
  return loaded_.expires_at;
}

}  // namespace tflite_serving
