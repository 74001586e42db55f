// Any bytes are a GGUF file or an Error, and what it says of itself stays inside the bytes.
#include <cstdint>
#include <cstdlib>

#include "base/json.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_names.h"
#include "gale/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = gale::GgufFile::parse(std::as_bytes(std::span(data, size)), nullptr, "fuzz.gguf");
    unsigned sum = 0;
    for (const gale::RawTensor& tensor : file->tensors())
      if (!tensor.bytes.empty()) sum += unsigned(tensor.bytes.front()) + unsigned(tensor.bytes.back());
    const gale::GgufTranslation translation = gale::translate_gguf(*file);
    for (const gale::RawTensor& tensor : translation.tensors)
      if (tensor.rows() > 0 && tensor.row_stride() > 0)
        for (const int64_t row : {int64_t(0), tensor.rows() / 2, tensor.rows() - 1})
          sum += unsigned(tensor.row(row)[0]) + unsigned(tensor.row(row)[tensor.row_stride() - 1]);
    const auto checkpoint = gale::Checkpoint::assemble("fuzz.gguf", *translation.config, translation.tensors);
    if (checkpoint->sizes().bytes < 0) std::abort();
    if (checkpoint->config().dump().empty()) std::abort();
    static_cast<void>(gale::gguf_target(*checkpoint));
    volatile unsigned sink = sum;
    static_cast<void>(sink);
  } catch (const gale::Error&) {
  }
  return 0;
}
