#include "transport/tls_context.h"

#include <openssl/evp.h>

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/tls_test_authority.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TlsContextTest : public testing::Test {
 protected:
  TlsSettings Write(const TestIdentity& identity) const {
    return {.certificate_chain = directory_.Write("tls.crt", identity.certificate), .private_key = directory_.Write("tls.key", identity.key)};
  }
  std::string Refusal(const TlsSettings& paths) const { return TlsContext::FromFiles(paths).status().message(); }

  const TemporaryDirectory directory_;
  const TestAuthority authority_;
  const TestIdentity server_ = authority_.Issue("server");
};

TEST_F(TlsContextTest, ReadsFiles) {
  TlsSettings paths = Write(server_);
  EXPECT_TRUE(TlsContext::FromFiles(paths).ok());
  paths.client_ca = directory_.Write("ca.crt", authority_.pem());
  EXPECT_TRUE(TlsContext::FromFiles(paths).ok());
  directory_.Write("tls.crt", "a comment\n" + server_.certificate + authority_.pem());
  EXPECT_TRUE(TlsContext::FromFiles(paths).ok());
}

TEST_F(TlsContextTest, ExpiryIsTheCertificatesAndNoError) {
  const auto context = TlsContext::FromFiles(Write(authority_.Issue("server", -3, -2)));
  ASSERT_TRUE(context.ok());
  EXPECT_NEAR(static_cast<double>((*context)->expires_at()), static_cast<double>(std::time(nullptr) - 2 * 24 * 60 * 60), 60);
}

TEST_F(TlsContextTest, ErrorsNameTheFile) {
  const TlsSettings good = Write(server_);
  TlsSettings bad = good;
  bad.certificate_chain = directory_.path() + "/none.crt";
  EXPECT_EQ(TlsContext::FromFiles(bad).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Refusal(bad), HasSubstr("/none.crt"));

  bad = good;
  bad.private_key = directory_.Write("other.key", TestAuthority().Issue("other").key);
  EXPECT_EQ(Refusal(bad), bad.private_key + ": the key does not belong to the first certificate of " + bad.certificate_chain);

  bad.private_key = directory_.Write("empty.key", "");
  EXPECT_EQ(Refusal(bad), bad.private_key + ": no private key in PEM (-----BEGIN PRIVATE KEY-----)");
  bad.private_key = good.certificate_chain;
  EXPECT_EQ(Refusal(bad), bad.private_key + ": no private key in PEM (-----BEGIN PRIVATE KEY-----)");

  bad = good;
  bad.certificate_chain = good.private_key;
  EXPECT_EQ(Refusal(bad), bad.certificate_chain + ": no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  bad.certificate_chain = directory_.Write("torn.crt", server_.certificate + server_.certificate.substr(0, 200));
  EXPECT_THAT(Refusal(bad), HasSubstr("torn.crt: certificate 2 is not valid PEM"));

  bad = good;
  bad.client_ca = directory_.Write("ca.crt", "");
  EXPECT_EQ(Refusal(bad), bad.client_ca + ": the file is empty");
  directory_.Write("ca.crt", "no PEM");
  EXPECT_EQ(Refusal(bad), bad.client_ca + ": no certificate in PEM (-----BEGIN CERTIFICATE-----)");

  bad = good;
  bad.private_key = directory_.Write("large.key", std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(TlsContext::FromFiles(bad).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(TlsContextTest, KeysStaySecret) {
  TlsSettings paths = Write(server_);
  std::string spoiled = server_.key;
  spoiled[60] = spoiled[60] == 'A' ? 'B' : 'A';
  directory_.Write("tls.key", spoiled);
  EXPECT_THAT(Refusal(paths), Not(HasSubstr(spoiled.substr(40, 20))));

  EVP_PKEY* const key = EVP_EC_gen("P-256");
  BIO* const memory = BIO_new(BIO_s_mem());
  const unsigned char passphrase[] = "secret";
  ASSERT_EQ(PEM_write_bio_PrivateKey(memory, key, EVP_aes_256_cbc(), passphrase, sizeof(passphrase) - 1, nullptr, nullptr), 1);
  EVP_PKEY_free(key);
  directory_.Write("tls.key", TakePem(memory));
  EXPECT_THAT(Refusal(paths), HasSubstr("tls.key: the key is encrypted"));
}

TEST_F(TlsContextTest, TextsOfOneFileAreNamedByTheirPart) {
  const auto refusal = [](const TlsSettings& pem) { return TlsContext::FromPem(pem, "'ssl.config'").status().message(); };
  EXPECT_EQ(refusal({}), "the server's certificate in 'ssl.config': no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  EXPECT_EQ(refusal({.certificate_chain = server_.certificate}),
            "the server's key in 'ssl.config': no private key in PEM (-----BEGIN PRIVATE KEY-----)");
  EXPECT_EQ(refusal({.certificate_chain = server_.certificate, .private_key = server_.key, .client_ca = "x"}),
            "the CA of clients in 'ssl.config': no certificate in PEM (-----BEGIN CERTIFICATE-----)");
}

TEST_F(TlsContextTest, ReloadsWhatChanged) {
  const TlsSettings paths = Write(server_);
  const std::shared_ptr<TlsContext> context = *TlsContext::FromFiles(paths);
  const auto first = context->current();
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
  EXPECT_EQ(context->current(), first);

  // As tools write them, one after the other: in between the key is another's.
  const TestIdentity renewed = authority_.Issue("server", -1, 20);
  directory_.Write("tls.crt", renewed.certificate);
  testing::internal::CaptureStderr();
  EXPECT_THAT(context->ReloadIfChanged().message(), HasSubstr("tls.key: the key does not belong"));
  EXPECT_THAT(context->ReloadIfChanged().message(), HasSubstr("tls.key: the key does not belong"));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("the certificates stay as they were"));
  EXPECT_EQ(log.find("stay as they were"), log.rfind("stay as they were"));
  EXPECT_EQ(context->current(), first);

  directory_.Write("tls.key", renewed.key);
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
  EXPECT_NE(context->current(), first);
  EXPECT_GT(context->expires_at(), std::time(nullptr) + 10 * 24 * 60 * 60);

  std::filesystem::remove(paths.private_key);
  EXPECT_EQ(context->ReloadIfChanged().code(), StatusCode::kNotFound);
  directory_.Write("tls.key", renewed.key);
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
}

// Kubernetes and Docker mount secrets as links, and renew them by another link.
TEST_F(TlsContextTest, FollowsLinks) {
  directory_.Write("1/tls.crt", server_.certificate);
  directory_.Write("1/tls.key", server_.key);
  const TestIdentity renewed = authority_.Issue("server", -1, 20);
  directory_.Write("2/tls.crt", renewed.certificate);
  directory_.Write("2/tls.key", renewed.key);
  const std::string link = directory_.path() + "/data";
  std::filesystem::create_symlink("1", link);
  const std::shared_ptr<TlsContext> context = *TlsContext::FromFiles({.certificate_chain = link + "/tls.crt", .private_key = link + "/tls.key"});
  const auto first = context->current();
  std::filesystem::create_symlink("2", directory_.path() + "/new");
  std::filesystem::rename(directory_.path() + "/new", link);
  EXPECT_EQ(context->ReloadIfChanged(), OkStatus());
  EXPECT_NE(context->current(), first);
}

}  // namespace
}  // namespace tflite_serving
