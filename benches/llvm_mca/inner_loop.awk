# Prints the loop of one basic block that holds the instructions `wanted` (a pattern) so many `times`
# and none of those that are `unwanted` (a pattern): of several, number `which`.
/^[.A-Za-z_0-9$]+:/ { label = substr($1, 1, length($1) - 1); body = ""; count = 0; other = 0; next }
/^[ \t]*(\.|\/\/|;|#)/ { next }
{
    body = body $0 "\n"
    if ($1 ~ "^(" wanted ")$") count++
    if (unwanted != "" && $1 ~ "^(" unwanted ")$") other++
    if ($1 ~ /^(b\.|cb|tb)/ && $NF == label && count == times && !other && ++found == which) { printf "%s", body; exit }
}
