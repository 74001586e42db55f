#include "base/keyed_hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>
#include <new>

#include "base/fail.h"

namespace gale {
namespace {

struct FreeMac {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* ctx) const { EVP_MAC_CTX_free(ctx); }
};
using Context = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

void add(EVP_MAC_CTX* ctx, std::span<const std::byte> bytes) {
  if (EVP_MAC_update(ctx, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1) throw std::bad_alloc();
}

}  // namespace

// Keyed and fed nothing: what each hash is a copy of.
struct KeyedHash::Start {
  Context context;
};

KeyedHash::Key KeyedHash::random_key() {
  Key key;
  require(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), int(key.size())) == 1, ErrorCode::internal,
          "the system gave no random bytes for a key");
  return key;
}

KeyedHash::KeyedHash(const Key& key) {
  const std::unique_ptr<EVP_MAC, FreeMac> mac(EVP_MAC_fetch(nullptr, "BLAKE2BMAC", nullptr));
  require(mac != nullptr, ErrorCode::internal, "this machine's OpenSSL does not have BLAKE2b");
  Context context(EVP_MAC_CTX_new(mac.get()));
  size_t size = sizeof(Digest256);
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  if (!context || EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(), params) != 1)
    throw std::bad_alloc();
  start_ = std::make_unique<const Start>(Start{std::move(context)});
}

KeyedHash::~KeyedHash() = default;
KeyedHash::KeyedHash(KeyedHash&&) noexcept = default;
KeyedHash& KeyedHash::operator=(KeyedHash&&) noexcept = default;

Digest256 KeyedHash::operator()(std::span<const std::byte> first, std::span<const std::byte> second) const {
  const Context context(EVP_MAC_CTX_dup(start_->context.get()));
  if (!context) throw std::bad_alloc();
  add(context.get(), first);
  add(context.get(), second);
  unsigned char bytes[sizeof(Digest256)];
  size_t written = 0;
  if (EVP_MAC_final(context.get(), bytes, &written, sizeof bytes) != 1) throw std::bad_alloc();
  Digest256 out;
  std::memcpy(out.words.data(), bytes, sizeof bytes);
  return out;
}

}  // namespace gale
