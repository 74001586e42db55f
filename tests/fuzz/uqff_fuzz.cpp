// Any bytes are a UQFF file or an Error, and the tensors that come of it lie inside the bytes.
#include <cstdint>
#include <cstdlib>

#include "checkpoint/safetensors.h"
#include "checkpoint/uqff.h"
#include "gale/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    unsigned sum = 0;
    for (const gale::RawTensor& tensor :
         gale::translate_uqff(gale::parse_safetensors(std::as_bytes(std::span(data, size)), nullptr, "fuzz.uqff"), "fuzz.uqff")) {
      if (tensor.elements() < 0 || tensor.row_stride() < 0) std::abort();
      if (!tensor.bytes.empty()) sum += unsigned(tensor.bytes.front()) + unsigned(tensor.bytes.back());
    }
    volatile unsigned sink = sum;
    static_cast<void>(sink);
  } catch (const gale::Error&) {
  }
  return 0;
}
