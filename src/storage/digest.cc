#include "storage/digest.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace tflite_serving {
namespace {

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Context StartDigest(const EVP_MD* algorithm) {
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  return context != nullptr && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1 ? std::move(context) : Context(nullptr, &EVP_MD_CTX_free);
}

std::string EndDigest(const Context& context) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  digest.resize(size);
  return digest;
}

}  // namespace

std::string Sha256Of(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(Bytes(bytes), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string HmacSha256(std::string_view key, std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(bytes), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
         nullptr);
  return digest;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and the NUL that OpenSSL writes
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), Bytes(bytes), static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

std::string FromBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return {};
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), Bytes(text), static_cast<int>(text.size())) < 0) return {};
  bytes.resize(bytes.size() - (text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0));
  return bytes;
}

std::string Base64Url(std::string_view bytes) {
  std::string text = Base64(bytes);
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  text.erase(std::min(text.find('='), text.size()));
  return text;
}

StatusOr<std::string> SignRs256(std::string_view private_key_pem, std::string_view bytes) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> pem(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())), &BIO_free);
  // An encrypted key is not asked a password for.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(PEM_read_bio_PrivateKey(pem.get(), nullptr, no_password, nullptr), &EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  size_t size = 0;
  if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA || context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, Bytes(bytes), bytes.size()) != 1) {
    return InvalidArgumentError("it is not the PEM text of an RSA key");
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, Bytes(bytes), bytes.size()) != 1) {
    return InternalError("OpenSSL cannot sign with it");
  }
  signature.resize(size);
  return signature;
}

StatusOr<FileDigests> DigestFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoToStatus(errno, path);
  const Context sha256 = StartDigest(EVP_sha256());
  const Context md5 = StartDigest(EVP_md5());
  if (sha256 == nullptr || md5 == nullptr) return InternalError("OpenSSL lacks SHA-256 or MD5");
  std::vector<char> piece(size_t{256} << 10);
  for (;;) {
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoToStatus(errno, path);
    if (size == 0) return FileDigests{.sha256 = EndDigest(sha256), .md5 = EndDigest(md5)};
    EVP_DigestUpdate(sha256.get(), piece.data(), static_cast<size_t>(size));
    EVP_DigestUpdate(md5.get(), piece.data(), static_cast<size_t>(size));
  }
}

}  // namespace tflite_serving
