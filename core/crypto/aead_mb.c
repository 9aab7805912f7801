/* SPDX-License-Identifier: BSD-3-Clause
 * aead_mb.c - ChaCha20-Poly1305 by the Intel Multi-Buffer library
 *
 * Of WireGuard's packets the cipher is most of the work, and of short ones most
 * of that is getting ready. Measured with AVX-512, sealing: 64 bytes 125 ns
 * against OpenSSL's 596, 1,280 bytes 454 against 1,015, 8,912 bytes 2,196
 * against 3,167. With AVX2 it is as fast as OpenSSL at 1,280 bytes, faster
 * below and a fifth slower at 8,912. The library takes jobs, but this cipher's
 * are done when they are handed in, so nothing has to be collected first.
 *
 * A job lives in its manager, which may serve one thread only: that is our
 * unit. Its keys stay where they are, the library is built to clear what it
 * copies of them. Static builds have the part of the library that is called
 * here and no more: see scripts/ipsec_mb_manager.c.
 */
#include "core/crypto/aead_mb.h"

#ifdef TS_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>

static IMB_MGR *manager_of(struct ts_aead_unit *unit)
{
	return (IMB_MGR *)unit;
}

struct ts_aead_unit *ts_aead_unit_new(void)
{
	IMB_MGR *manager = alloc_mb_mgr(0);

	if (!manager)
		return NULL;
	init_mb_mgr_auto(manager, NULL);
	if (imb_get_errno(manager) != 0) {
		free_mb_mgr(manager);
		return NULL;
	}
	return (struct ts_aead_unit *)manager;
}

void ts_aead_unit_free(struct ts_aead_unit *unit)
{
	if (unit)
		free_mb_mgr(manager_of(unit));
}

bool ts_aead_mb_run(struct ts_aead_unit *unit, bool seal, const uint8_t *key,
		    const uint8_t *nonce, const void *ad, size_t ad_len,
		    const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	IMB_MGR *manager = manager_of(unit);
	IMB_JOB *job = IMB_GET_NEXT_JOB(manager);

	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = key;
	job->key_len_in_bytes = TS_AEAD_KEY_LEN;
	job->iv = nonce;
	job->iv_len_in_bytes = TS_AEAD_NONCE_LEN;
	job->u.CHACHA20_POLY1305.aad = ad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = ad_len;
	job->src = in;
	job->dst = out;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = len;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = TS_AEAD_TAG_LEN;
	return IMB_SUBMIT_JOB_NOCHECK(manager) == job &&
	       job->status == IMB_STATUS_COMPLETED;
}

#else /* other machines */

struct ts_aead_unit *ts_aead_unit_new(void)
{
	return NULL;
}

void ts_aead_unit_free(struct ts_aead_unit *unit)
{
	(void)unit;
}

bool ts_aead_mb_run(struct ts_aead_unit *unit, bool seal, const uint8_t *key,
		    const uint8_t *nonce, const void *ad, size_t ad_len,
		    const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	(void)unit, (void)seal, (void)key, (void)nonce, (void)ad, (void)ad_len;
	(void)in, (void)len, (void)out, (void)tag;
	return false;
}

#endif
