# Prints a straight run of instructions that holds `wanted` (a pattern) so many `times`, up to its first `end`: the run of that
# kind that is number `which`.
/^[.A-Za-z_0-9$]+:/ { body = ""; count = 0; next }
/^[ \t]*(\.|\/\/|;|#)/ { next }
$1 == end && count == times { if (++found == which) { printf "%s", body; exit } }
$1 == end { body = ""; count = 0 }
$1 !~ /^(b\.|cb|tb|cmp)/ { body = body $0 "\n" }
$1 ~ "^(" wanted ")$" { count++ }
