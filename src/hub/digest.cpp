#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/fail.h"

namespace gale::hub {

namespace {
constexpr size_t kStep = size_t(1) << 20;
}

struct Digest::Context {
  EVP_MD_CTX* evp = nullptr;
  ~Context() { EVP_MD_CTX_free(evp); }
};

Digest::Kind Digest::kind_of(std::string_view etag) {
  if (etag.find_first_not_of("0123456789abcdef") != etag.npos) return Kind::none;
  return etag.size() == 64 ? Kind::sha256 : etag.size() == 40 ? Kind::git_sha1 : Kind::none;
}

Digest::Digest(Kind kind, int64_t size) : context_(std::make_unique<Context>()) {
  if (kind == Kind::none) return;
  context_->evp = EVP_MD_CTX_new();
  const bool ready = context_->evp != nullptr &&
                     EVP_DigestInit_ex(context_->evp, kind == Kind::sha256 ? EVP_sha256() : EVP_sha1(), nullptr) == 1;
  require(ready, ErrorCode::unsupported, "OpenSSL has no {} here, which downloads are checked with",
          kind == Kind::sha256 ? "SHA-256" : "SHA-1");
  if (kind != Kind::git_sha1) return;
  const std::string head = fmt::format("blob {}", size);
  add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));  // its NUL belongs to it
}

Digest::~Digest() = default;

void Digest::add(std::span<const std::byte> bytes) {
  if (context_->evp != nullptr) EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
}

std::string Digest::finish() {
  if (context_->evp == nullptr) return "";
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_->evp, value, &size);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", value[i]);
  return out;
}

std::string digest_of(const std::filesystem::path& file, Digest::Kind kind, const std::function<void(int64_t)>& step) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rb"), std::fclose);
  require(in != nullptr, ErrorCode::not_found, "cannot read {}", file.string());
  Digest digest(kind, int64_t(std::filesystem::file_size(file)));
  std::vector<std::byte> buffer(kStep);
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), in.get())) {
    digest.add(std::span(buffer).first(n));
    if (step) step(int64_t(n));
  }
  require(std::ferror(in.get()) == 0, ErrorCode::corrupt, "cannot read all of {}: the disk may be failing", file.string());
  return digest.finish();
}

}  // namespace gale::hub
