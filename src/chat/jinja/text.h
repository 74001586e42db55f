#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/authors.h"

/// UTF-8 and the parts of Python's str that need Unicode. Bytes that are not UTF-8 count as one code point each and pass
/// unchanged.
namespace gale::jinja {

/// Reads the code point at `at` and moves past it. `at` must be inside.
char32_t next_code_point(std::string_view s, size_t& at);
void append_code_point(std::string& out, char32_t c);
bool valid_utf8(std::string_view s);
/// Length in code points.
int64_t text_length(std::string_view s);
/// Byte offset of the code point with this number; the size of `s` where there are fewer.
size_t text_offset(std::string_view s, int64_t index);
/// The code points, each as its bytes.
std::vector<std::string_view> text_characters(std::string_view s);

/// s.find(part, from), in linear time whatever the texts are.
size_t find_text(std::string_view s, std::string_view part, size_t from = 0);
/// What one or all such searches through s cost, in steps.
inline int64_t search_cost(std::string_view s, std::string_view part) { return int64_t(s.size() / (part.size() > 32 ? 8 : 64)); }

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_printable(char32_t c);
/// What Unicode will never assign.
inline bool is_noncharacter(char32_t c) { return (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe; }
bool is_lower(char32_t c);
bool is_upper(char32_t c);
/// Letters that are a capital and a small one at once, such as U+01C5.
bool is_title(char32_t c);
inline bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_line_break(char32_t c);
/// Python's str.isidentifier().
bool is_identifier(std::string_view s);

/// `authors`, where given, become those of the new text.
std::string to_upper(std::string_view s, Authors* authors = nullptr);
std::string to_lower(std::string_view s, Authors* authors = nullptr);
std::string fold_case(std::string_view s, Authors* authors = nullptr);
/// First letter in upper case, the rest in lower case.
std::string capitalize(std::string_view s, Authors* authors = nullptr);
/// str.title(): letters after a non-letter in upper case, others in lower case.
std::string title_case(std::string_view s, Authors* authors = nullptr);
std::string swap_case(std::string_view s, Authors* authors = nullptr);

/// Without leading or trailing code points that are spaces or, where given, in `chars`.
std::string_view strip_left(std::string_view s, std::optional<std::string_view> chars = std::nullopt);
std::string_view strip_right(std::string_view s, std::optional<std::string_view> chars = std::nullopt);
inline std::string_view strip(std::string_view s, std::optional<std::string_view> chars = std::nullopt) {
  return strip_left(strip_right(s, chars), chars);
}
/// str.splitlines().
std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends = false);

/// Python's int() and float() of a text, or nothing where it raises ValueError. Raises Failure where an integer has over 63 bits.
std::optional<int64_t> parse_int(std::string_view s, int base = 10);
std::optional<double> parse_float(std::string_view s);
/// repr() of a float.
std::string float_repr(double v);

}  // namespace gale::jinja
