/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_c2n.c - a request of the control server to this node
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/control/c2n.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t out_len;
	char *out;

	if (ts_c2n_answer(data, len, &out, &out_len) == 0)
		free(out);
	return 0;
}
