// Any bytes are a session or an Error, and so they are a block of the prefix store; what a session gives lies in its bytes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "checkpoint/hash.h"
#include "gale/error.h"
#include "kvcache/session_file.h"

namespace gale {
namespace {

void parse(std::span<const std::byte> file) {
  try {
    const SessionFile session = parse_session(file, "fuzz");
    size_t bytes = session.head.tokens.size() * 4 + session.head.made_by.size() + session.head.note.size();
    for (const BlockRecord& block : session.blocks) {
      bytes += block.bytes();
      if (!block.payload.empty() && (block.payload.data() < file.data() || &block.payload.back() > &file.back())) std::abort();
    }
    if (bytes > file.size() || (session.damage.empty() && bytes + 256 != file.size())) std::abort();
  } catch (const Error&) {
  }
  try {
    if (parse_block(file, "fuzz").bytes() > file.size()) std::abort();
  } catch (const Error&) {
  }
}

// Hashes that fit, so that what lies behind them is reached: of the 256 or 128 bytes of a header, over all but its last eight,
// and of a session's text.
void seal(std::span<std::byte> file, size_t header) {
  if (file.size() < header) return;
  if (header == 256) {
    uint64_t sizes[3];
    std::memcpy(sizes, file.data() + 16, sizeof sizes);
    const uint64_t text = std::min<uint64_t>(sizes[0] % 1000 * 4 + sizes[1] % 1000 + sizes[2] % 1000, file.size() - header);
    const uint64_t hash = hash_bytes(file.subspan(header, size_t(text)));
    std::memcpy(file.data() + 136, &hash, 8);
  }
  const uint64_t hash = hash_bytes(file.first(header - 8));
  std::memcpy(file.data() + header - 8, &hash, 8);
}

}  // namespace
}  // namespace gale

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  gale::parse(bytes);
  for (const size_t header : {size_t(256), size_t(128)}) {
    std::vector<std::byte> sealed(bytes.begin(), bytes.end());
    gale::seal(sealed, header);
    gale::parse(sealed);
  }
  return 0;
}
