// For tests of TLS: the client's end of it.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "transport/test_client.h"
#include "transport/tls_test_authority.h"

namespace tflite_serving {

struct TestTlsOptions {
  std::string ca;         // PEM, whom the client trusts; empty: anybody
  TestIdentity identity;  // that it shows; empty: none
  std::string alpn;       // "\x02h2"
  int max_version = 0;    // TLS1_2_VERSION; 0: any
};

// The client's end: bytes in, bytes out, no socket.
class TestTls {
 public:
  explicit TestTls(const TestTlsOptions& options) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_security_level(context_.get(), 0);  // which TLS 1.1 needs
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    if (options.max_version != 0) SSL_CTX_set_max_proto_version(context_.get(), options.max_version);
    if (!options.ca.empty()) {
      BIO* const pem = BIO_new_mem_buf(options.ca.data(), static_cast<int>(options.ca.size()));
      X509* const ca = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), ca);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
      X509_free(ca);
      BIO_free(pem);
    }
    if (!options.identity.key.empty()) Show(options.identity);
    ssl_.reset(SSL_new(context_.get()));
    if (!options.alpn.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.alpn.data()), static_cast<unsigned>(options.alpn.size()));
    }
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
  }

  SSL* ssl() { return ssl_.get(); }
  // What is to be sent.
  std::string Output() {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(ssl_.get())), '\0');
    if (!bytes.empty()) BIO_read(SSL_get_wbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void Input(std::string_view bytes) { BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size())); }
  // True: it is done. False: it needs input, or has failed().
  bool Handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    Note(result);
    return result == 1;
  }
  // OpenSSL's words for why the handshake or a read failed; empty: it did not.
  const std::string& failure() const { return failure_; }

  std::string Encrypt(std::string_view bytes) {
    while (!bytes.empty()) {
      const int size = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
      EXPECT_GT(size, 0);
      if (size <= 0) break;
      bytes.remove_prefix(static_cast<size_t>(size));
    }
    return Output();
  }
  // All that the input so far holds.
  std::string Decrypt() {
    std::string bytes;
    char piece[16384];
    ERR_clear_error();
    int size = 0;
    while ((size = SSL_read(ssl_.get(), piece, sizeof(piece))) > 0) bytes.append(piece, static_cast<size_t>(size));
    Note(size);
    return bytes;
  }
  // The server has said that nothing else will come.
  bool closed() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  void Show(const TestIdentity& identity) {
    BIO* const certificate_pem = BIO_new_mem_buf(identity.certificate.data(), -1);
    BIO* const key_pem = BIO_new_mem_buf(identity.key.data(), -1);
    X509* const certificate = PEM_read_bio_X509(certificate_pem, nullptr, nullptr, nullptr);
    EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_pem, nullptr, nullptr, nullptr);
    EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), certificate), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificate_pem);
    BIO_free(key_pem);
  }
  void Note(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_SSL) return;
    const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
    failure_ = reason == nullptr ? "unknown" : reason;
  }

  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string failure_;
};

// A TestClient over TLS.
class TlsTestClient : public TestClient {
 public:
  explicit TlsTestClient(const TestTlsOptions& options = {}, int receive_buffer_bytes = 0) : TestClient(receive_buffer_bytes), tls_(options) {}

  // False: the server did not let the client in. With TLS 1.3 that may show only at the first answer.
  bool Handshake() {
    while (true) {
      const bool done = tls_.Handshake();
      if (!SendPlain(tls_.Output()) || done) return done;
      if (!tls_.failure().empty() || !ReadMore()) return false;
    }
  }
  bool Send(std::string_view bytes) override { return SendPlain(tls_.Encrypt(bytes)); }
  // Each write to the socket has so many bytes at most.
  void SendInPieces(size_t bytes) { piece_bytes_ = bytes; }
  // close_notify, and nothing after it.
  void CloseWriteTls() {
    SSL_shutdown(tls_.ssl());
    SendPlain(tls_.Output());
    CloseWrite();
  }
  // Reads what comes until the server closes; whether it said so first.
  bool ClosedByTls() {
    ReadToEnd();
    return tls_.closed();
  }
  // What the server had against the client.
  std::string Failure() {
    ReadToEnd();
    return tls_.failure();
  }
  SSL* ssl() { return tls_.ssl(); }
  std::string PeerName() {
    X509* const certificate = SSL_get0_peer_certificate(tls_.ssl());
    char name[100] = "";
    if (certificate != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
    return name;
  }

  // Past TLS.
  bool SendPlain(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, piece_bytes_);
      if (!TestClient::Send(piece)) return false;
      bytes.remove_prefix(piece.size());
    }
    return true;
  }

 private:
  bool ReadMore() {
    char bytes[65536];
    const ssize_t size = TestClient::Receive(bytes, sizeof(bytes));
    if (size > 0) tls_.Input({bytes, static_cast<size_t>(size)});
    return size > 0;
  }
  ssize_t Receive(char* room, size_t size) override {
    while (decrypted_.empty()) {
      decrypted_ = tls_.Decrypt();
      if (!decrypted_.empty()) break;
      SendPlain(tls_.Output());  // what the protocol itself has to say
      char bytes[65536];
      const ssize_t received = TestClient::Receive(bytes, sizeof(bytes));
      if (received <= 0) return received;
      tls_.Input({bytes, static_cast<size_t>(received)});
    }
    const size_t step = decrypted_.copy(room, size);
    decrypted_.erase(0, step);
    return static_cast<ssize_t>(step);
  }

  TestTls tls_;
  size_t piece_bytes_ = size_t{1} << 30;
  std::string decrypted_;
};

}  // namespace tflite_serving
