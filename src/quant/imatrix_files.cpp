#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "base/fail.h"
#include "base/file.h"
#include "base/mmap.h"
#include "checkpoint/gguf.h"
#include "quant/imatrix.h"

// The three kinds of files that importance matrices lie in.
//
// GGUF: tensors NAME.in_sum2 f32 [matrices, columns] and NAME.counts f32 [matrices, 1].
// llama.cpp's older file: i32 entries; each i32 length of the name, name, i32 calls, i32 values, f32 values; then, unless it is
// older still, i32 chunks, i32 length, name of the data. A value is the mean square times the calls.
// .cimatrix: u64 entries; each u64 length of the name, name, u64 values, f32 values. A value is the mean square times a number of
// calls that is not kept.
namespace gale {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian and copied as they are");

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr int64_t kUsualChunk = 512;  // tokens, where a file does not say

void check_values(const ImportanceMatrix& file, std::string_view name, std::span<const float> values) {
  require(!values.empty(), ErrorCode::corrupt, "{}: {} has no values", file.source, name);
  const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x) || x < 0; });
  require(bad == values.end(), ErrorCode::corrupt, "{}: value {} of {} is {}; sums of squares are finite and not negative",
          file.source, bad - values.begin(), name, bad == values.end() ? 0 : *bad);
}

void add(ImportanceMatrix& file, std::string name, ImportanceMatrix::Entry entry) {
  check_values(file, name, entry.sums);
  check_values(file, name, entry.counts);
  require(entry.counts.size() == 1 || entry.sums.size() % entry.counts.size() == 0, ErrorCode::corrupt,
          "{}: {} has {} values for {} counts", file.source, name, entry.sums.size(), entry.counts.size());
  require(file.entries.try_emplace(std::move(name), std::move(entry)).second, ErrorCode::corrupt, "{}: an entry comes twice",
          file.source);
}

/// Takes bytes off the front of a file.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& source) : left_(bytes), source_(source) {}
  bool empty() const { return left_.empty(); }

  std::span<const std::byte> take(uint64_t n, std::string_view what) {
    require(n <= left_.size(), ErrorCode::corrupt,
            "{} ends within {}: {} bytes are needed, {} are left; is it an importance matrix?", source_, what, n, left_.size());
    const auto out = left_.first(size_t(n));
    left_ = left_.subspan(size_t(n));
    return out;
  }
  /// A whole number of type T that is not negative.
  template <class T>
  uint64_t number(std::string_view what) {
    T out;
    std::memcpy(&out, take(sizeof out, what).data(), sizeof out);
    if constexpr (std::is_signed_v<T>)
      require(out >= 0, ErrorCode::corrupt, "{}: {} is {}; is it an importance matrix?", source_, what, out);
    return uint64_t(out);
  }
  std::string text(uint64_t n, std::string_view what) {
    const auto bytes = take(n, what);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::vector<float> floats(uint64_t n, std::string_view what) {
    require(n <= left_.size() / sizeof(float), ErrorCode::corrupt,
            "{} ends within {}: {} values are announced, {} bytes are left", source_, what, n, left_.size());
    std::vector<float> out(static_cast<size_t>(n));
    std::memcpy(out.data(), take(n * sizeof(float), what).data(), size_t(n) * sizeof(float));
    return out;
  }

 private:
  std::span<const std::byte> left_;
  const std::string& source_;
};

std::vector<float> floats_of(const RawTensor& tensor) {
  require(tensor.type == TensorType::f32, ErrorCode::corrupt, "{} is {}, but sums and counts are f32", tensor.source,
          tensor_type_info(tensor.type).name);
  std::vector<float> out(tensor.bytes.size() / sizeof(float));
  std::memcpy(out.data(), tensor.bytes.data(), out.size() * sizeof(float));
  return out;
}

void read_gguf(const std::filesystem::path& path, ImportanceMatrix& out) {
  const auto file = GgufFile::open(path);
  const std::string* type = file->text("general.type");
  require(type != nullptr && *type == "imatrix", ErrorCode::corrupt,
          "{} is a GGUF, but no importance matrix: its general.type is {}", out.source, type ? "\"" + *type + "\"" : "missing");
  if (const auto* datasets = file->texts("imatrix.datasets")) out.datasets = *datasets;
  out.chunks = file->integer("imatrix.chunk_count").value_or(0);
  out.chunk_tokens = file->integer("imatrix.chunk_size").value_or(0);
  std::map<std::string, const RawTensor*> sums, counts;
  for (const RawTensor& tensor : file->tensors()) {
    const std::string_view name = tensor.name;
    for (const auto& [ending, into] : {std::pair(kSums, &sums), std::pair(kCounts, &counts)})
      if (name.ends_with(ending)) (*into)[std::string(name.substr(0, name.size() - ending.size()))] = &tensor;
  }
  for (const auto& [name, tensor] : sums) {
    const auto count = counts.find(name);
    require(count != counts.end(), ErrorCode::corrupt, "{}: {}{} is missing", out.source, name, kCounts);
    ImportanceMatrix::Entry entry{floats_of(*tensor), floats_of(*count->second), tensor->columns()};
    require(tensor->rows() == int64_t(entry.counts.size()), ErrorCode::corrupt, "{}: {}{} is {}, but {} has {} counts",
            out.source, name, kSums, tensor->shape.text(), name, entry.counts.size());
    add(out, name, std::move(entry));
  }
}

void read_dat(Bytes bytes, ImportanceMatrix& out) {
  const uint64_t entries = bytes.number<int32_t>("the number of entries");
  for (uint64_t i = 0; i < entries; ++i) {
    std::string name = bytes.text(bytes.number<int32_t>("the length of a name"), "a name");
    const auto calls = float(bytes.number<int32_t>("a number of calls"));
    std::vector<float> values = bytes.floats(bytes.number<int32_t>("a number of values"), name);
    add(out, std::move(name), {std::move(values), {calls == 0 ? 1 : calls}, 0});
  }
  out.chunk_tokens = kUsualChunk;
  if (bytes.empty()) return;
  out.chunks = int64_t(bytes.number<int32_t>("the number of chunks"));
  if (!bytes.empty()) out.datasets = {bytes.text(bytes.number<int32_t>("the length of a name"), "the name of the data")};
}

void read_cimatrix(Bytes bytes, ImportanceMatrix& out) {
  const uint64_t entries = bytes.number<uint64_t>("the number of entries");
  for (uint64_t i = 0; i < entries; ++i) {
    std::string name = bytes.text(bytes.number<uint64_t>("the length of a name"), "a name");
    std::vector<float> values = bytes.floats(bytes.number<uint64_t>("a number of values"), name);
    add(out, std::move(name), {std::move(values), {1}, 0});
  }
}

template <class T>
void put(AtomicFile& file, T value) {
  file.write(std::as_bytes(std::span(&value, 1)));
}

void put_floats(AtomicFile& file, std::span<const float> values) { file.write(std::as_bytes(values)); }

/// Mean squares times `calls`; zeros where nothing went in.
std::vector<float> values_of(const ImportanceMatrix::Entry& entry, float calls) {
  std::vector<float> out = entry.sums;
  const size_t columns = out.size() / entry.counts.size();
  for (size_t i = 0; i < out.size(); ++i) {
    const float count = entry.counts[i / columns];
    out[i] = count == 0 ? 0 : out[i] / count * calls;
  }
  return out;
}

void write_gguf(const ImportanceMatrix& matrix, const std::filesystem::path& path) {
  using Width = GgufWriter::Width;
  GgufWriter writer(path);
  writer.set("general.type", std::string("imatrix"), Width::string);
  writer.set("imatrix.datasets", matrix.datasets, Width::string_array);
  writer.set("imatrix.chunk_count", matrix.chunks, Width::u32);
  writer.set("imatrix.chunk_size", matrix.chunk_tokens, Width::u32);
  for (const auto& [name, entry] : matrix.entries) {
    const auto matrices = int64_t(entry.counts.size());
    writer.declare(name + std::string(kSums), TensorType::f32, {matrices, int64_t(entry.sums.size()) / matrices});
    writer.declare(name + std::string(kCounts), TensorType::f32, {matrices, 1});
  }
  for (const auto& [name, entry] : matrix.entries) {
    writer.data(std::as_bytes(std::span(entry.sums)));
    writer.data(std::as_bytes(std::span(entry.counts)));
  }
  writer.commit();
}

void write_dat(const ImportanceMatrix& matrix, const std::filesystem::path& path) {
  const auto tokens = float(std::max<int64_t>(matrix.chunk_tokens, 1));
  AtomicFile file(path);
  put(file, int32_t(matrix.entries.size()));
  for (const auto& [name, entry] : matrix.entries) {
    const auto calls = std::max(1, int32_t(std::ranges::max(entry.counts) / tokens));
    put(file, int32_t(name.size()));
    file.write(name);
    put(file, calls);
    put(file, int32_t(entry.sums.size()));
    put_floats(file, values_of(entry, float(calls)));
  }
  put(file, int32_t(matrix.chunks));
  const std::string data = matrix.datasets.empty() ? "" : matrix.datasets.front();
  put(file, int32_t(data.size()));
  file.write(data);
  file.commit();
}

void write_cimatrix(const ImportanceMatrix& matrix, const std::filesystem::path& path) {
  AtomicFile file(path);
  put(file, uint64_t(matrix.entries.size()));
  for (const auto& [name, entry] : matrix.entries) {
    put(file, uint64_t(name.size()));
    file.write(name);
    put(file, uint64_t(entry.sums.size()));
    put_floats(file, values_of(entry, 1));
  }
  file.commit();
}

}  // namespace

ImportanceMatrix read_imatrix(const std::filesystem::path& path) {
  ImportanceMatrix out;
  out.source = path.filename().string();
  const auto mapped = MappedFile::open(path);
  const auto bytes = mapped->bytes();
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0)
    read_gguf(path, out);
  else if (path.extension() == ".cimatrix")
    read_cimatrix({bytes, out.source}, out);
  else
    read_dat({bytes, out.source}, out);
  require(!out.entries.empty(), ErrorCode::corrupt, "{} has no entries; is it an importance matrix?", out.source);
  return out;
}

std::string imatrix_ending_problem(const std::filesystem::path& path) {
  for (const std::string_view ending : {".gguf", ".dat", ".imatrix", ".cimatrix"})
    if (path.extension() == ending) return "";
  return path.string() +
         ": an importance matrix is written as .gguf, as .dat or .imatrix (llama.cpp's older form) or as .cimatrix";
}

void write_imatrix(const ImportanceMatrix& matrix, const std::filesystem::path& path) {
  const std::string problem = imatrix_ending_problem(path);
  require(problem.empty(), ErrorCode::invalid_argument, "{}", problem);
  if (path.extension() == ".gguf") return write_gguf(matrix, path);
  if (path.extension() == ".cimatrix") return write_cimatrix(matrix, path);
  write_dat(matrix, path);
}

}  // namespace gale
