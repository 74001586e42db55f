#include "engine/session.h"

#include <algorithm>
#include <map>

#include "base/fail.h"
#include "base/log.h"
#include "base/mmap.h"
#include "kvcache/session_file.h"

namespace gale {
namespace {

constexpr int64_t kBytesAtOnce = int64_t(16) << 20;  // copied between two steps

std::string description(const ModelInfo& info) {
  return fmt::format("{} ({}{}{}) with keys and values in {}", info.source, info.architecture, info.quant.empty() ? "" : ", ",
                     info.quant, info.kv_type);
}

std::vector<BlockName> names_of(const BlockNames& names, std::string_view salt, std::span<const int32_t> tokens) {
  std::vector<BlockName> out;
  names.extend(out, names.root(salt), tokens);
  return out;
}

// A few blocks, one after another; fewer where they have gone meanwhile.
struct Copies {
  std::vector<std::byte> bytes;
  size_t blocks = 0;
};

Copies copy_some(const SessionPlace& place, std::span<const BlockName> names, std::span<const KvPlace> blocks) {
  Copies out;
  size_t size = 0;
  for (const KvPlace& block : blocks) size += size_t(place.kv.block_bytes(block.pool));
  out.bytes.resize(size);
  place.inbox.call([&] {
    std::span<std::byte> room = out.bytes;
    for (const KvPlace& block : blocks) {
      if (!place.kv.copy_out(block.pool, names[size_t(block.index)], room)) return;
      room = room.subspan(size_t(place.kv.block_bytes(block.pool)));
      ++out.blocks;
    }
  });
  return out;
}

// Those of `count` from `first` on that are worth one stop of the engine, at least one.
template <class BytesOf>
size_t some(size_t first, size_t count, const BytesOf& bytes_of) {
  size_t end = first;
  for (int64_t bytes = 0; end < count && (end == first || bytes + bytes_of(end) <= kBytesAtOnce); ++end) bytes += bytes_of(end);
  return end;
}

void write_blocks(const SessionPlace& place, const SessionHead& head, const std::string& salt, SessionWriter& file) {
  const std::vector<BlockName> here = names_of(*place.names, salt, head.tokens);
  const std::vector<BlockName> there = names_of(BlockNames(head.key, place.names->block_slots()), {}, head.tokens);
  std::vector<KvPlace> blocks;
  place.inbox.call([&] { blocks = place.kv.find(here); });
  const auto bytes_of = [&](size_t i) { return place.kv.block_bytes(blocks[i].pool); };
  for (size_t first = 0; first < blocks.size();) {
    const size_t end = some(first, blocks.size(), bytes_of);
    const Copies copies = copy_some(place, here, std::span(blocks).subspan(first, end - first));
    std::span<const std::byte> left = copies.bytes;
    for (size_t i = 0; i < copies.blocks; ++i) {
      const KvPlace& block = blocks[first + i];
      const auto payload = left.first(size_t(place.kv.block_bytes(block.pool)));
      file.block({.cache = head.cache, .name = there[size_t(block.index)], .pool = block.pool, .payload = payload});
      left = left.subspan(payload.size());
    }
    if (copies.blocks < end - first) return;  // the rest would be found only behind what is missing
    first = end;
  }
}

// What there is room for, a text's end first: where room runs out it is given up first.
void keep_blocks(const SessionPlace& place, const SessionFile& file, const std::string& salt) {
  const std::vector<BlockName> here = names_of(*place.names, salt, file.head.tokens);
  const std::vector<BlockName> there = names_of(BlockNames(file.head.key, place.names->block_slots()), {}, file.head.tokens);
  std::map<BlockName, size_t> index;
  for (size_t i = 0; i < there.size(); ++i) index[there[i]] = i;
  for (const BlockRecord& block : file.blocks)
    require(index.contains(block.name) && size_t(block.pool) < place.kv.pools() &&
                int64_t(block.payload.size()) == place.kv.block_bytes(block.pool),
            ErrorCode::corrupt, "a block is of another text");
  std::vector<const BlockRecord*> backwards;
  for (auto block = file.blocks.rbegin(); block != file.blocks.rend(); ++block) backwards.push_back(&*block);
  const auto bytes_of = [&](size_t i) { return int64_t(backwards[i]->payload.size()); };
  for (size_t first = 0; first < backwards.size();) {
    const size_t end = some(first, backwards.size(), bytes_of);
    place.inbox.call([&] {
      for (size_t i = first; i < end; ++i)
        place.kv.keep(backwards[i]->pool, here[index.at(backwards[i]->name)], backwards[i]->payload);
    });
    first = end;
  }
}

void check_tokens(const SessionFile& file, const ModelInfo& info, const std::string& name) {
  for (const int32_t token : file.head.tokens)
    require(token >= 0 && token < info.vocab, ErrorCode::corrupt, "{}: token {} is none of the model's {}", name, token,
            info.vocab);
}

}  // namespace

void save_session(const SessionPlace& place, const std::string& file, const Session& session, const std::string& salt) {
  SessionHead head{.key = KeyedHash::random_key(),
                   .model = {},
                   .cache = {},
                   .tokens = session.tokens,
                   .made_by = description(place.info),
                   .note = session.note};
  const KeyedHash hash(head.key);
  head.model = place.identity.model_digest(hash);
  head.cache = place.identity.digest(hash);
  SessionWriter writer(file, head);
  if (place.names != nullptr) write_blocks(place, head, salt, writer);
  writer.commit();
}

Session load_session(const SessionPlace& place, const std::string& name, const std::string& salt) {
  const auto mapped = MappedFile::open(name);
  const SessionFile file = parse_session(mapped->bytes(), name);
  const KeyedHash hash(file.head.key);
  const std::string mine = description(place.info);
  require(file.head.model == place.identity.model_digest(hash), ErrorCode::invalid_argument,
          "{} is a session of {}, and this is {}{}: open that model in the same way, or name another file for this one", name,
          file.head.made_by, mine, mine == file.head.made_by ? ", with other weights or options" : "");
  check_tokens(file, place.info, name);
  if (place.names == nullptr) return {file.head.tokens, file.head.note};
  std::string problem = file.damage;
  if (file.blocks.empty() && problem.empty()) return {file.head.tokens, file.head.note};
  if (file.head.cache != place.identity.digest(hash))
    problem = "it was made by another version of this program, on another processor or with other blocks";
  else
    try {
      keep_blocks(place, file, salt);
    } catch (const Error& e) {
      problem = e.what();
    }
  if (!problem.empty()) log_warning("{}: what was computed for the text is lost in part, and computed again: {}", name, problem);
  return {file.head.tokens, file.head.note};
}

}  // namespace gale
