/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_register_json.c - the answers to /key and /machine/register
 */
#include <stddef.h>
#include <stdint.h>

#include "core/control/register_json.h"
#include "core/control/server_key_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_register_response response;
	struct ts_public_key key;

	if (ts_register_response_read(data, len, &response) == 0)
		ts_register_response_deinit(&response);
	ts_server_key_read(data, len, &key);
	return 0;
}
