#include "nn/weights.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>

#include "base/checked.h"
#include "base/log.h"
#include "base/threads.h"

namespace gale {
namespace {

constexpr int64_t kPanelsPerPiece = 4;  // rows a thread takes apart at a time: 64, a few MB at the widest

constexpr size_t kShownProblems = 10;

// Jobs of a pool must not throw: the first error is kept and thrown by the caller.
class FirstError {
 public:
  template <class F>
  void guard(F&& f) noexcept {
    try {
      f();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Rows [first, first + n) of a group, quantized anew: a group of its own over `bytes`.
struct Requantized {
  std::vector<float> values;
  std::vector<std::byte> bytes;
  RawTensor tensor;
  TensorGroup group;

  void make(const TensorGroup& from, const Format& format, const Format& target, int64_t first, int64_t n, int64_t columns) {
    values.resize(size_t(n * columns));
    format.dequantize(from, {first, n, 0, columns}, values.data());
    bytes.resize(size_t(n * row_bytes(target.stored, columns, from.name)));
    target.quantize(values.data(), n, columns, nullptr, bytes.data());
    tensor = RawTensor{};
    tensor.name = from.name + ".weight";
    tensor.type = target.stored;
    tensor.shape = {n, columns};
    tensor.bytes = bytes;
    tensor.source = "quantized in place";
    group.name = from.name;
    group.parts = {{"weight", &tensor}};
  }
};

}  // namespace

Loader::Loader(std::shared_ptr<const Checkpoint> checkpoint, ThreadPool& pool, Options options)
    : checkpoint_(std::move(checkpoint)), pool_(pool), options_(std::move(options)) {
  for (const RawTensor& t : checkpoint_->tensors()) total_bytes_ += int64_t(t.bytes.size());
}
Loader::~Loader() = default;

bool Loader::has(const std::string& name) const { return checkpoint_->find(name) != nullptr; }
bool Loader::has_matrix(const std::string& name) const { return !group_of(*checkpoint_, name).parts.empty(); }

void Loader::note_missing(const std::string& name) { problems_.push_back(name + " is missing"); }

void Loader::pack(const TensorGroup& group, const Format& format, const Format* target, PackedMatrix& out) {
  FirstError errors;
  pool_.for_each(out.panels(), kPanelsPerPiece, [&](int64_t begin, int64_t end) {
    errors.guard([&] {
      LogicalGroups groups;
      Requantized again;
      const int64_t last = std::min(end * kPanelRows, out.rows);
      for (int64_t first = begin * kPanelRows; first < last; first += kPanelsPerPiece * kPanelRows) {
        const int64_t n = std::min(kPanelsPerPiece * kPanelRows, last - first);
        if (target == nullptr) {
          format.groups(group, {first, n, 0, out.columns}, groups);
        } else {
          again.make(group, format, *target, first, n, out.columns);
          target->groups(again.group, {0, n, 0, out.columns}, groups);
          groups.slice.row = first;
        }
        arrange(groups, out);
      }
    });
  });
  errors.rethrow();
}

// Of a matrix that is yet to be made.
Layout Loader::layout_as(const Format& target, int64_t rows, int64_t columns) {
  RawTensor blank;
  blank.type = target.stored;
  blank.shape = {rows, columns};
  TensorGroup group;
  group.parts = {{"weight", &blank}};
  return target.layout(group);
}

// The order of columns that the file's form brings along, null where they are as they come: read even for sizing, since steps
// take memory for it. What is quantized anew has none.
StorageRef Loader::order_as_packed(const TensorGroup& group, const Format& format, const Format* target) {
  const std::vector<int32_t> order = target == nullptr && format.order ? format.order(group) : std::vector<int32_t>();
  if (order.empty()) return {};
  StorageRef out = heap_storage(order.size() * sizeof(int32_t));
  std::memcpy(out->data(), order.data(), order.size() * sizeof(int32_t));
  return out;
}

std::shared_ptr<const PackedMatrix> Loader::matrix(const std::string& name, int64_t rows, int64_t columns) {
  if (const auto it = packed_.find(name); it != packed_.end()) return it->second;
  const TensorGroup group = group_of(*checkpoint_, name);
  if (group.parts.empty()) return nullptr;
  for (const auto& [part, tensor] : group.parts) {
    used_.insert(tensor->name);
    file_bytes_ += int64_t(tensor->bytes.size());
  }
  const Format& format = format_of(group);
  const auto [r, c] = format.shape(group);
  if ((rows != 0 && r != rows) || (columns != 0 && c != columns)) {
    problems_.push_back(
        fmt::format("{} is [{}, {}], but the config asks for [{}, {}]", name, r, c, rows ? rows : r, columns ? columns : c));
    return nullptr;
  }
  const Format* target = options_.requantize ? options_.requantize(name, r, c) : nullptr;
  const Layout layout = target ? layout_as(*target, r, c) : format.layout(group);
  auto out = std::make_shared<PackedMatrix>(packed_shape(layout, r, c));
  out->order = order_as_packed(group, format, target);
  if (!options_.shape_only) {
    out->data = slabs_.take(size_t(out->bytes()));
    pack(group, format, target, *out);
  }
  packed_bytes_ += out->bytes() + (out->order ? int64_t(out->order->size()) : 0);
  if (options_.progress) options_.progress(file_bytes_, total_bytes_);
  packed_[name] = out;
  return out;
}

Tensor Loader::vector(const std::string& name, int64_t n) {
  const RawTensor* raw = checkpoint_->find(name);
  if (raw == nullptr) return {};
  used_.insert(name);
  if (n != 0 && raw->elements() != n) {
    problems_.push_back(fmt::format("{} has {} entries, but the config asks for {}", name, raw->elements(), n));
    return {};
  }
  TensorGroup group;
  group.name = name;
  group.parts = {{"weight", raw}};
  Tensor out = heap_tensor({raw->elements()}, DType::f32);
  if (options_.shape_only)
    std::fill_n(out.data<float>(), out.elements(), 1.0f);  // divides and scales by nothing
  else
    format_of(group).dequantize(group, {0, raw->rows(), 0, raw->columns()}, out.data<float>());
  packed_bytes_ += out.bytes();
  file_bytes_ += int64_t(raw->bytes.size());
  return out;
}

std::shared_ptr<const PackedMatrix> Loader::largest() const {
  std::shared_ptr<const PackedMatrix> out;
  for (const auto& [name, matrix] : packed_)
    if (!out || matrix->bytes() > out->bytes()) out = matrix;
  return out;
}

void Loader::finish() {
  if (!problems_.empty()) {
    std::string all;
    for (size_t i = 0; i < std::min(problems_.size(), kShownProblems); ++i) all += "\n  " + problems_[i];
    if (problems_.size() > kShownProblems) all += fmt::format("\n  and {} more", problems_.size() - kShownProblems);
    fail(ErrorCode::corrupt, "{}: {} tensor(s) do not fit the architecture {}:{}", checkpoint_->path().string(), problems_.size(),
         checkpoint_->architecture(), all);
  }
  std::string unused;
  int64_t count = 0;
  for (const RawTensor& t : checkpoint_->tensors()) {
    if (used_.contains(t.name) || t.name.ends_with("rotary_emb.inv_freq")) continue;  // recomputed from the config
    if (count++ < 4) unused += (unused.empty() ? "" : ", ") + t.name;
  }
  if (count > 0)
    log_warning("{} tensor(s) of {} are not used by {}: {}{}", count, checkpoint_->path().string(), checkpoint_->architecture(),
                unused, count > 4 ? " ..." : "");
  if (options_.progress) options_.progress(total_bytes_, total_bytes_);
}

std::vector<Weights> Weights::layers(std::string_view name, int64_t count) const {
  std::vector<Weights> out;
  for (int64_t i = 0; i < count; ++i) {
    Weights layer = (*this)[name][i];
    if (!loader_->has_below(layer.prefix_)) {
      loader_->note_missing(fmt::format("{}, the first of {} layers,", layer.prefix_, count - i));
      break;
    }
    out.push_back(std::move(layer));
  }
  return out;
}

Linear Weights::maybe_linear(std::string_view name, int64_t out, int64_t in) const {
  auto matrix = loader_->matrix(path(name), out, in);
  if (!matrix) return {};
  return Linear(matrix, loader_->vector(path(name) + ".bias", matrix->rows));
}

Linear Weights::linear(std::string_view name, int64_t out, int64_t in) const {
  if (!loader_->has_matrix(path(name))) loader_->note_missing(path(name) + ".weight");
  return maybe_linear(name, out, in);
}

RmsNorm Weights::maybe_norm(std::string_view name, float eps, int64_t width) const {
  return RmsNorm(loader_->vector(path(name) + ".weight", width), eps);
}

RmsNorm Weights::norm(std::string_view name, float eps, int64_t width) const {
  if (!loader_->has(path(name) + ".weight")) loader_->note_missing(path(name) + ".weight");
  return maybe_norm(name, eps, width);
}

Embedding Weights::embedding(std::string_view name, int64_t vocab, int64_t width) const {
  if (!loader_->has_matrix(path(name))) loader_->note_missing(path(name) + ".weight");
  return Embedding(loader_->matrix(path(name), vocab, width));
}

}  // namespace gale
