#include "kvcache/session_file.h"

#include <array>
#include <cstring>

#include "base/checked.h"
#include "checkpoint/hash.h"

namespace gale {
namespace {

constexpr std::array<char, 8> kMagic = {'G', 'A', 'L', 'E', 'S', 'E', 'S', 'S'};
constexpr uint32_t kVersion = 1;
constexpr unsigned kOwnFile = 0600;

struct Header {
  std::array<char, 8> magic;
  uint32_t version, zero;
  uint64_t tokens, made_by_bytes, note_bytes;
  std::array<std::byte, 32> key;
  std::array<uint64_t, 4> model, cache;
  uint64_t text_hash;
  std::array<uint64_t, 13> rest;  // zeros
  uint64_t hash;                  // of all before
};
static_assert(sizeof(Header) == 256);

uint64_t hash_of(const Header& header) {
  return hash_bytes(std::as_bytes(std::span(&header, 1)).first(sizeof(Header) - sizeof header.hash));
}

std::string text_of(const SessionHead& head) {
  std::string out(reinterpret_cast<const char*>(head.tokens.data()), head.tokens.size() * sizeof(int32_t));
  return out + head.made_by + head.note;
}

Header parse_header(std::span<const std::byte> file, std::string_view where) {
  Header header;
  require(file.size() >= sizeof header, ErrorCode::corrupt, "{}: {} bytes are too few for a session", where, file.size());
  std::memcpy(&header, file.data(), sizeof header);
  require(header.magic == kMagic, ErrorCode::corrupt, "{}: this is no session of Gale", where);
  require(header.version == kVersion, ErrorCode::unsupported, "{}: a session of version {}, and this program reads {}", where,
          header.version, kVersion);
  require(header.hash == hash_of(header) && header.zero == 0 && header.rest == decltype(header.rest){}, ErrorCode::corrupt,
          "{}: the session's header is damaged", where);
  return header;
}

}  // namespace

SessionFile parse_session(std::span<const std::byte> file, std::string_view where) {
  const Header header = parse_header(file, where);
  const auto rest = file.subspan(sizeof header);
  const uint64_t most = rest.size();
  const bool fits = header.tokens <= most / sizeof(int32_t) && header.made_by_bytes <= most && header.note_bytes <= most &&
                    header.tokens * sizeof(int32_t) + header.made_by_bytes + header.note_bytes <= most;
  require(fits, ErrorCode::corrupt, "{}: {} tokens and {} + {} bytes of text do not lie in {} bytes", where, header.tokens,
          header.made_by_bytes, header.note_bytes, most);
  const size_t token_bytes = size_t(header.tokens) * sizeof(int32_t);
  const auto text = rest.first(token_bytes + size_t(header.made_by_bytes + header.note_bytes));
  require(header.text_hash == hash_bytes(text), ErrorCode::corrupt, "{}: the session's text is damaged", where);
  SessionFile out;
  out.head.key = header.key;
  out.head.model = {header.model};
  out.head.cache = {header.cache};
  out.head.tokens.resize(size_t(header.tokens));
  if (token_bytes > 0) std::memcpy(out.head.tokens.data(), text.data(), token_bytes);
  const char* letters = reinterpret_cast<const char*>(text.data()) + token_bytes;
  out.head.made_by.assign(letters, size_t(header.made_by_bytes));
  out.head.note.assign(letters + header.made_by_bytes, size_t(header.note_bytes));
  try {
    for (auto left = rest.subspan(text.size()); !left.empty(); left = left.subspan(out.blocks.back().bytes())) {
      const BlockRecord block = parse_block(left, where);
      require(block.cache == out.head.cache, ErrorCode::corrupt, "{}: a block is of another cache", where);
      out.blocks.push_back(block);
    }
  } catch (const Error& e) {
    out.damage = e.what();
  }
  return out;
}

SessionWriter::SessionWriter(std::filesystem::path path, const SessionHead& head) : file_(std::move(path), kOwnFile) {
  const std::string text = text_of(head);
  Header header{.magic = kMagic,
                .version = kVersion,
                .zero = 0,
                .tokens = head.tokens.size(),
                .made_by_bytes = head.made_by.size(),
                .note_bytes = head.note.size(),
                .key = head.key,
                .model = head.model.words,
                .cache = head.cache.words,
                .text_hash = hash_bytes(std::as_bytes(std::span(text))),
                .rest = {},
                .hash = 0};
  header.hash = hash_of(header);
  file_.write(std::as_bytes(std::span(&header, 1)));
  file_.write(text);
}

void SessionWriter::block(const BlockRecord& record) {
  file_.write(block_header(record));
  file_.write(record.payload);
}

}  // namespace gale
