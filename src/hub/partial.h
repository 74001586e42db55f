#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace gale::hub {

/// A file that is being downloaded in pieces, at any number of places at once. What is there survives the process, however it
/// ends: bytes lie in <blob>.gale.incomplete at their place, and how far each piece is in <blob>.gale.pieces.incomplete.
/// huggingface_hub resumes no partial file of others and leaves these alone; their names end as its own do.
/// write() and read() may be called from several threads at once; everything else by one at a time.
class Partial {
 public:
  struct Piece {
    int64_t begin = 0, end = 0, done = 0;  ///< bytes [begin, begin + done) of [begin, end) are there
    bool complete() const { return begin + done == end; }
  };

  /// Goes on with what an earlier one left, where it is of the same size. Throws Error where it cannot be written.
  Partial(const std::filesystem::path& blob, int64_t size);
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  std::vector<Piece>& pieces() { return pieces_; }
  int64_t size() const { return size_; }
  int64_t done() const;
  bool resumed() const { return resumed_; }
  /// Puts bytes at their place. Throws Error{out_of_memory} where the disk is full.
  void write(int64_t at, std::span<const std::byte> bytes) const;
  /// Has the system begin to bring these bytes to the disk, so that commit() waits for few.
  void flush_soon(int64_t at, int64_t bytes) const;
  /// Says that `bytes` more of a piece are written.
  void advance(size_t piece, int64_t bytes);
  /// `size` bytes from `at`, which must be there.
  void read(int64_t at, std::span<std::byte> out) const;
  /// Nothing is there any more: all of it in one piece from now on, for servers that know no ranges.
  void restart_whole();
  /// The whole file under its name. Throws Error where the disk refuses.
  void commit();
  void remove();

  /// Bytes of a partial file that are on the disk already, 0 where there is none.
  static int64_t left_of(const std::filesystem::path& blob, int64_t size);

 private:
  void make_pieces(int64_t piece_size);
  bool read_record();
  void write_record();

  std::filesystem::path blob_, data_path_, record_path_;
  int64_t size_;
  int data_ = -1, record_ = -1;
  bool resumed_ = false;
  std::vector<Piece> pieces_;
};

}  // namespace gale::hub
