#include "base/program_code.h"

#include <dlfcn.h>
#include <link.h>

#include <array>

namespace gale {
namespace {

struct Search {
  std::array<const void*, 2> wanted;
  std::vector<std::span<const std::byte>> found;
};

bool lies_in(const dl_phdr_info& object, const ElfW(Phdr) & segment, const void* address) {
  const auto begin = object.dlpi_addr + segment.p_vaddr, at = reinterpret_cast<ElfW(Addr)>(address);
  return at >= begin && at < begin + segment.p_memsz;
}

// What is not writable is not changed by the loader either.
int look_at(dl_phdr_info* object, size_t, void* data) {
  Search& search = *static_cast<Search*>(data);
  const std::span segments(object->dlpi_phdr, object->dlpi_phnum);
  bool wanted = false;
  for (const auto& segment : segments)
    for (const void* address : search.wanted)
      wanted = wanted || (segment.p_type == PT_LOAD && lies_in(*object, segment, address));
  if (!wanted) return 0;
  for (const auto& segment : segments)
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_R) != 0 && (segment.p_flags & PF_W) == 0)
      search.found.emplace_back(reinterpret_cast<const std::byte*>(object->dlpi_addr + segment.p_vaddr), segment.p_filesz);
  return 0;
}

}  // namespace

std::vector<std::span<const std::byte>> program_code() {
  Search search{.wanted = {reinterpret_cast<const void*>(&program_code), ::dlsym(RTLD_DEFAULT, "cos")}, .found = {}};
  ::dl_iterate_phdr(look_at, &search);
  return search.found;
}

}  // namespace gale
