// For tests of TLS: certificates that are made on the spot.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "transport/tls_context.h"

namespace tflite_serving {

// PEM.
struct TestIdentity {
  std::string certificate;
  std::string key;
};

inline std::string TakePem(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);  // NOLINT(google-runtime-int): OpenSSL's type
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

// A CA of the test's own.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "Test CA") : key_(EVP_EC_gen("P-256")) {
    certificate_ = Sign(name, key_.get(), "critical,CA:TRUE", nullptr, -1, 1);
  }

  std::string pem() const { return ToPem(certificate_.get()); }

  // For "localhost" and 127.0.0.1, valid from and to so many days from now. `usage`: "serverAuth,clientAuth".
  TestIdentity Issue(const std::string& name, int from_days = -1, int to_days = 1, const char* usage = "serverAuth,clientAuth") const {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate = Sign(name, key.get(), "critical,CA:FALSE", usage, from_days, to_days);
    BIO* const memory = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(memory, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {ToPem(certificate.get()), TakePem(memory)};
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  static std::string ToPem(X509* certificate) {
    BIO* const memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, certificate);
    return TakePem(memory);
  }
  static void Extend(X509* certificate, X509* issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    EXPECT_NE(extension, nullptr) << value;
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  Certificate Sign(const std::string& name, EVP_PKEY* key, const char* constraints, const char* usage, int from_days, int to_days) const {
    static constexpr int kSecondsPerDay = 24 * 60 * 60;
    Certificate made(X509_new());
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), from_days * kSecondsPerDay);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), to_days * kSecondsPerDay);
    X509_set_pubkey(made.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                               0);
    X509* const issuer = certificate_ == nullptr ? made.get() : certificate_.get();
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
    Extend(made.get(), issuer, NID_basic_constraints, constraints);
    Extend(made.get(), issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    if (usage != nullptr) Extend(made.get(), issuer, NID_ext_key_usage, usage);
    EXPECT_GT(X509_sign(made.get(), key_.get(), EVP_sha256()), 0);
    return made;
  }

  Key key_;
  Certificate certificate_;
  mutable long serial_ = 0;  // NOLINT(google-runtime-int): OpenSSL's type
};

inline std::shared_ptr<TlsContext> MakeTlsContext(const TestIdentity& identity, const std::string& client_ca = "", bool required = true) {
  StatusOr<std::shared_ptr<TlsContext>> context = TlsContext::FromPem(
      {.certificate_chain = identity.certificate, .private_key = identity.key, .client_ca = client_ca, .client_certificate_required = required},
      "the test");
  EXPECT_TRUE(context.ok()) << context.status().ToString();
  return context.ok() ? *context : nullptr;
}

}  // namespace tflite_serving
