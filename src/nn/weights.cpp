#include "nn/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/first_error.h"
#include "base/log.h"
#include "base/mmap.h"
#include "base/threads.h"
#include "nn/arrangement.h"
#include "quant/check_method.h"

namespace gale {
namespace {

constexpr int64_t kColumnsPerPiece = 2048;  // of a panel, taken apart at a time: its codes stay in the nearest caches

constexpr int64_t kPrefault = int64_t(4) << 20;  // bytes of a packed file that a thread maps at a time
constexpr size_t kShownProblems = 10;

// Rows [first, first + n) of a group, quantized anew: a group of its own over `bytes`.
struct Requantized {
  std::vector<float> values;
  std::vector<std::byte> bytes;
  RawTensor tensor, scale;
  TensorGroup group;

  void make(const CpuKernels& cpu, const TensorGroup& from, const Format& format, const Format& target, int64_t first, int64_t n,
            int64_t columns, const float* importance, const SecondScale& second) {
    values.resize(size_t(n * columns));
    format.dequantize(from, {first, n, 0, columns}, values.data());
    second.take_off(values);
    bytes.resize(size_t(n * row_bytes(target.stored, columns, from.name)));
    try {
      target.quantize(cpu, values.data(), n, columns, importance, bytes.data());
    } catch (const Error& e) {
      fail(e.code(), "{}, rows {} to {}, cannot become {}: {}", from.name, first, first + n - 1, target.name, e.what());
    }
    tensor = RawTensor{};
    tensor.name = from.name + ".weight";
    tensor.type = target.stored;
    tensor.shape = {n, columns};
    tensor.bytes = bytes;
    tensor.source = "quantized in place";
    group.name = from.name;
    group.parts = {{"weight", &tensor}};
    if (second.reach == 0) return;
    scale.name = from.name + ".scale";
    scale.bytes = std::as_bytes(std::span(&second.value, 1));
    group.parts["scale"] = &scale;
  }
};

// Of a matrix.
float largest_magnitude(const TensorGroup& group, const Format& format, int64_t rows, int64_t columns, ThreadPool& pool) {
  std::vector<float> of_panel(size_t(ceil_div(rows, kPanelRows)));
  FirstError errors;
  pool.for_each(int64_t(of_panel.size()), 1, [&](int64_t begin, int64_t end) {
    errors.guard([&] {
      std::vector<float> values;
      for (int64_t p = begin; p < end; ++p) {
        const int64_t first = p * kPanelRows, n = std::min(kPanelRows, rows - first);
        values.resize(size_t(n * columns));
        format.dequantize(group, {first, n, 0, columns}, values.data());
        for (const float v : values) of_panel[size_t(p)] = std::max(of_panel[size_t(p)], std::fabs(v));
      }
    });
  });
  errors.rethrow();
  return std::ranges::max(of_panel);
}

// Why parts of a model may not be there.
std::string missing_file(const Checkpoint& checkpoint) {
  const bool uqff = std::ranges::any_of(checkpoint.files(), [](const auto& file) { return file.extension() == ".uqff"; });
  return uqff ? "\nNo UQFF file says how many are in its set: the last of them may not be there" : "";
}

const Format& format_in(const Checkpoint& checkpoint, const TensorGroup& group) {
  const std::string missing = missing_file(checkpoint);
  if (missing.empty()) return format_of(group);
  try {
    return format_of(group);
  } catch (const Error& e) {
    fail(e.code(), "{}{}", e.what(), missing);
  }
}

}  // namespace

Loader::Loader(std::shared_ptr<const Checkpoint> checkpoint, ThreadPool& pool, Options options)
    : checkpoint_(std::move(checkpoint)), pool_(pool), options_(std::move(options)) {
  for (const RawTensor& t : checkpoint_->tensors()) total_bytes_ += t.own_bytes();
  check_method(*checkpoint_);
  if (checkpoint_->packed() != nullptr) check_arrangement(*checkpoint_);
}
Loader::~Loader() = default;

bool Loader::has(const std::string& name) const { return checkpoint_->find(name) != nullptr; }
bool Loader::has_matrix(const std::string& name) const { return !group_of(*checkpoint_, name).parts.empty(); }

void Loader::note_missing(const std::string& name) { problems_.push_back(name + " is missing"); }

void Loader::pack(const TensorGroup& group, const Format& format, const Format* target, int64_t expert, PackedMatrix& out) {
  FirstError errors;
  const std::vector<float> importance = target != nullptr && options_.importance
                                            ? options_.importance(group.name, expert, out.columns, *target)
                                            : std::vector<float>();
  const SecondScale second =
      target != nullptr && SecondScale::wanted(*target, group.name)
          ? SecondScale::of(*target, group.name, largest_magnitude(group, format, out.rows, out.columns, pool_))
          : SecondScale();
  // Rows that share scales are made together.
  const int64_t together = std::max<int64_t>(kPanelRows, target != nullptr ? target->rows_together : 1);
  pool_.for_each(ceil_div(out.rows, together), 1, [&](int64_t begin, int64_t end) {
    errors.guard([&] {
      LogicalGroups groups;
      Requantized again;
      const int64_t last = std::min(end * together, out.rows);
      for (int64_t first = begin * together; first < last; first += together) {
        const int64_t made = std::min(together, last - first);
        if (target != nullptr)
          again.make(*options_.cpu, group, format, *target, first, made, out.columns,
                     importance.empty() ? nullptr : importance.data(), second);
        for (int64_t row = first; row < first + made; row += kPanelRows) {
          const int64_t n = std::min(kPanelRows, first + made - row);
          for (int64_t column = 0; column < out.columns; column += kColumnsPerPiece) {
            const int64_t columns = std::min(kColumnsPerPiece, out.columns - column);
            if (target == nullptr) {
              format.groups(group, {row, n, column, columns}, groups);
            } else {
              target->groups(again.group, {row - first, n, column, columns}, groups);
              groups.slice.row = row;
            }
            arrange(groups, out);
          }
        }
      }
    });
  });
  errors.rethrow();
}

// Memory for a matrix, zeros.
StorageRef Loader::place(int64_t bytes) {
  if (!options_.sink) return slabs_.take(size_t(bytes));
  if (!reused_ || int64_t(reused_->size()) < bytes)
    reused_ = heap_storage(size_t(bytes));
  else
    std::memset(reused_->data(), 0, size_t(bytes));
  return reused_;
}

void Loader::made(std::string name, Shape shape, TensorType type, PackedMatrix& matrix, const StorageRef& order) {
  packed_bytes_ += matrix.bytes() + (order ? int64_t(order->size()) : 0);
  if (options_.progress) options_.progress(file_bytes_, total_bytes_);
  if (!options_.sink) return;
  options_.sink(
      {.name = std::move(name), .shape = shape, .type = type, .matrix = &matrix, .vector = nullptr, .ordered = bool(order)});
  matrix.data = {};
}

PackedMatrix Loader::arranged(const RawTensor& tensor, int64_t rows, int64_t columns, int64_t stacked) {
  PackedMatrix out = arranged_matrix(tensor, rows, columns, stacked);
  mapped_bytes_ += out.bytes();
  if (options_.shape_only) return out;
  const auto piece = [&](int64_t i) { return tensor.bytes.subspan(size_t(i * kPrefault)); };
  pool_.for_each(ceil_div(out.bytes(), kPrefault), 1, [&](int64_t begin, int64_t end) {
    MappedFile::prefault(piece(begin).first(std::min(piece(begin).size(), size_t((end - begin) * kPrefault))));
  });
  return out;
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
    file_bytes_ += tensor->own_bytes();
  }
  const RawTensor* whole = group.part("weight");
  const Format& format = format_in(*checkpoint_, group);
  const auto [r, c] = format.shape(group);
  if ((rows != 0 && r != rows) || (columns != 0 && c != columns)) {
    problems_.push_back(
        fmt::format("{} is [{}, {}], but the config asks for [{}, {}]", name, r, c, rows ? rows : r, columns ? columns : c));
    return nullptr;
  }
  auto out = std::make_shared<PackedMatrix>();
  const Format* target = options_.requantize ? options_.requantize(name, r, c) : nullptr;
  const bool in_place = is_arranged(group) && target == nullptr;
  if (in_place) {
    *out = arranged(*whole, r, c);
  } else {
    *out = packed_shape(target ? layout_as(*target, r, c) : format.layout(group), r, c);
    note_widened(group, target, out->layout, r * c);
    out->order = order_as_packed(group, format, target);
    if (!options_.shape_only) {
      out->data = place(out->bytes());
      pack(group, format, target, -1, *out);
    }
  }
  made(name + ".weight", {r, c},
       target  ? target->stored
       : whole ? whole->type
               : group.parts.begin()->second->type,
       *out, out->order);
  const std::string_view is = target ? target->name : in_place ? tensor_type_info(whole->type).name : format.name;
  loaded_.push_back({name, std::string(is), out, nullptr});
  packed_[name] = out;
  return out;
}

void Loader::note_widened(const TensorGroup& group, const Format* target, const Layout& layout, int64_t weights) {
  int64_t bytes = 0;
  for (const auto& [part, tensor] : group.parts) bytes += tensor->own_bytes();
  if (target != nullptr || layout != dense_layout(DType::f32) || bytes * 2 > weights * 4) return;
  if (widened_count_++ == 0) widened_ = group.name;
  widened_from_ += bytes;
  widened_to_ += weights * 4;
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
  file_bytes_ += raw->own_bytes();
  if (options_.sink)
    options_.sink(
        {.name = name, .shape = out.shape(), .type = TensorType::f32, .matrix = nullptr, .vector = &out, .ordered = false});
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
    const auto is_missing = [](const std::string& problem) { return problem.find("is missing") != problem.npos; };
    if (std::ranges::all_of(problems_, is_missing)) all += missing_file(*checkpoint_);
    fail(ErrorCode::corrupt, "{}: {} tensor(s) do not fit the architecture {}:{}", checkpoint_->path().string(), problems_.size(),
         checkpoint_->architecture(), all);
  }
  if (options_.shape_only) return;  // who loads it then hears the rest
  std::string unused;
  int64_t count = 0;
  for (const RawTensor& t : checkpoint_->tensors()) {
    if (used_.contains(t.name) || t.name.ends_with("rotary_emb.inv_freq")) continue;  // recomputed from the config
    if (count++ < 4) unused += (unused.empty() ? "" : ", ") + t.name;
  }
  if (count > 0)
    log_warning("{} tensor(s) of {} are not used by {}: {}{}", count, checkpoint_->path().string(), checkpoint_->architecture(),
                unused, count > 4 ? " ..." : "");
  if (widened_count_ > 0)
    log_warning(
        "{} weight(s) of {}, {} first, have groups that are no multiple of 32 columns, or that run down columns and do not "
        "repeat every whole number of 16 rows, which no kernel takes: they are held as f32, {} MB instead of {} MB; --quant q8_0 "
        "or another type makes them smaller again",
        widened_count_, checkpoint_->path().string(), widened_, widened_to_ >> 20, widened_from_ >> 20);
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
