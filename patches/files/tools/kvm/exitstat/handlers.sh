#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Print handlers.h: the exit reasons that KVM has a handler for, from the source in LINUX.
# As numbers: the uapi headers that exitstat is built with may be older and lack a name.
#
#	./handlers.sh ../../.. >handlers.h		# update it
#	./handlers.sh ../../.. | diff handlers.h -	# is it up to date?

set -eu

if [ $# -ne 1 ]; then
	echo "Usage: ${0##*/} LINUX" >&2
	exit 1
fi
cd "$1/arch/x86"

# print_table ARRAY TABLE FILE HEADER: print C's ARRAY for FILE's TABLE of handlers
print_table()
{
	echo
	echo "static const bool $1[] = {"
	awk -v table="$2" '
		$1 == "#define" { value[$2] = $3 }
		index($0, table "[]") { found = inside = 1 }
		/^}/ { inside = 0 }
		inside && /^\t\[/ {
			name = substr($0, 3, index($0, "]") - 3)
			n = split(name, term, " [+] ")
			for (i = 1; i <= n; i++) {
				if (!(term[i] in value))
					missing = term[i]
				number = i > 1 ? number " + " value[term[i]] : value[term[i]]
			}
			printf "\t[%s] = true,\t/* %s */\n", number, name
		}
		END {
			if (missing)
				print FILENAME ": what is " missing "?" >"/dev/stderr"
			else if (!found)
				print FILENAME ": there is no " table >"/dev/stderr"
			exit missing || !found
		}' include/uapi/asm/kvm.h "$4" "$3"
	echo "};"
}

printf '/* %s: GPL-2.0-only */\n' SPDX-License-Identifier	# not its own, for checkpatch
echo "/* Made by handlers.sh from arch/x86/kvm: the exit reasons that KVM has a handler for. */"
print_table vmx_handled vmx_exit_handlers kvm/vmx/vmx.c include/uapi/asm/vmx.h
print_table svm_handled svm_exit_handlers kvm/svm/svm.c include/uapi/asm/svm.h
