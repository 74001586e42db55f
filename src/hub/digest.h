#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gale::hub {

/// The hash that a hub names a file's content by. Large files have the SHA-256 of their bytes, small ones what git calls them:
/// the SHA-1 of "blob <size>\0" and their bytes.
class Digest {
 public:
  enum class Kind : uint8_t { sha256, git_sha1, none };
  /// By the look of a name: 64 hexadecimal digits, 40, or anything else, which says nothing of the bytes.
  static Kind kind_of(std::string_view etag);

  /// `size`: of the whole file in bytes.
  Digest(Kind kind, int64_t size);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(std::span<const std::byte> bytes);
  /// Lower-case hexadecimal; "" for Kind::none. Once.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Of a file, in pieces: `step` hears of each piece's bytes. Throws Error where it cannot be read.
std::string digest_of(const std::filesystem::path& file, Digest::Kind kind, const std::function<void(int64_t)>& step = {});

}  // namespace gale::hub
