#pragma once
#include <memory>

#include "batch/batch.h"
#include "nn/linear.h"

namespace gale {

/// Token ids to rows, media rows over them.
class Embedding {
 public:
  Embedding() = default;
  explicit Embedding(std::shared_ptr<const PackedMatrix> table) : table_(std::move(table)) {}

  /// [rows, width]; patches replace the rows they cover. REQUIRES: ids in [0, vocab()), checked where requests enter.
  Tensor operator()(Ctx& ctx, const Batch& batch) const;
  /// A head that shares the table (tied embeddings).
  Linear tied() const { return Linear(table_, {}); }
  int64_t vocab() const { return table_->rows; }
  int64_t width() const { return table_->columns; }

 private:
  std::shared_ptr<const PackedMatrix> table_;
};

}  // namespace gale
