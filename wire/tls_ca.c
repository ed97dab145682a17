/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_ca.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/file.h"
#include "wire/proto.h"

#define KEY_MODE	0600
#define CERT_MODE	0644
#define SERIAL_BITS	159  /* RFC 5280 4.1.2.2: positive, at most 20 bytes */
#define CLOCK_SKEW_S	3600 /* valid a little earlier, for peers whose clock is behind */
#define SECONDS_PER_DAY 86400
#define CONSTRAINT_MAX	(2 * TLS_NAMES_MAX * (HOST_NAME_MAX_LEN + 16))
#define PEM_FILE_MAX	(256 * 1024)

/* What stock agents ask for (dialling, its pre-check, QUIC's), and what trials on one host need. */
static const char *const builtin_names[] = {
	SNI_STOCK, SNI_PRECHECK, "quic.cftunnel.com", "localhost", "127.0.0.1", "::1",
};

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(X509 *, X509_free);
DEFINE_CLEANUP(BIO *, BIO_free_all);

/* ---- names ---- */

static int add_ip(struct tls_names *names, const struct ip_addr *ip)
{
	for (size_t i = 0; i < names->n_ips; i++)
		if (ip_equal(&names->ips[i], ip))
			return -EEXIST;
	if (names->n_ips >= TLS_NAMES_MAX)
		return -ENOSPC;
	names->ips[names->n_ips++] = *ip;
	return 0;
}

static bool is_host_name(const char *text)
{
	char copy[HOST_NAME_MAX_LEN + 8];
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;

	if (strncmp(text, "*.", 2) == 0)
		text += 2;
	if ((size_t)snprintf(copy, sizeof(copy), "%s:1", text) >= sizeof(copy))
		return false;
	return host_port_parse(copy, host, &port) == 0;
}

int tls_names_add(struct tls_names *names, const char *text)
{
	struct ip_addr ip;

	if (ip_parse(text, &ip) == 0)
		return add_ip(names, &ip);
	if (!is_host_name(text) || strlen(text) > HOST_NAME_MAX_LEN)
		return -EINVAL;
	for (size_t i = 0; i < names->n_dns; i++)
		if (strcasecmp(names->dns[i], text) == 0)
			return -EEXIST;
	if (names->n_dns >= TLS_NAMES_MAX)
		return -ENOSPC;
	snprintf(names->dns[names->n_dns++], sizeof(names->dns[0]), "%s", text);
	return 0;
}

void tls_names_add_builtin(struct tls_names *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtin_names); i++)
		(void)tls_names_add(names, builtin_names[i]);
}

/* ---- errors ---- */

static int fail(struct diag *diag, const char *what)
{
	char text[256];
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "unknown reason");
	ERR_clear_error();
	diag_add(diag, DIAG_ERROR, 0, "%s: %s", what, text);
	return err_trace(-EIO);
}

static int fail_file(struct diag *diag, const char *path, int r)
{
	diag_add(diag, DIAG_ERROR, 0, "%s: %s", path, strerror(-r));
	return err_trace(r);
}

/* ---- building a certificate ---- */

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return -EIO;
	ok = X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok ? 0 : -EIO;
}

/* "DNS:a,IP:1.2.3.4": subject alternative names as libcrypto reads them. */
static void write_san(FILE *out, const struct tls_names *names)
{
	char text[IP_TEXT_MAX];
	const char *comma = "";

	for (size_t i = 0; i < names->n_dns; i++, comma = ",")
		fprintf(out, "%sDNS:%s", comma, names->dns[i]);
	for (size_t i = 0; i < names->n_ips; i++, comma = ",")
		fprintf(out, "%sIP:%s", comma, ip_format(&names->ips[i], text));
}

/* The same as permitted subtrees; a wildcard's subtree is its parent. */
static void write_constraints(FILE *out, const struct tls_names *names)
{
	char text[IP_TEXT_MAX];

	fputs("critical", out);
	for (size_t i = 0; i < names->n_dns; i++) {
		const char *name = names->dns[i];

		fprintf(out, ",permitted;DNS:%s", strncmp(name, "*.", 2) == 0 ? name + 2 : name);
	}
	for (size_t i = 0; i < names->n_ips; i++)
		fprintf(out, ",permitted;IP:%s/%s", ip_format(&names->ips[i], text),
			names->ips[i].family == AF_INET
				? "255.255.255.255"
				: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static int add_names(X509 *cert, X509 *issuer, int nid,
		     void (*write)(FILE *, const struct tls_names *), const struct tls_names *names)
{
	CLEANUP(free) char *text = malloc(CONSTRAINT_MAX);
	FILE *out = text ? fmemopen(text, CONSTRAINT_MAX, "w") : NULL;

	if (!out)
		return -ENOMEM;
	write(out, names);
	if (fclose(out) != 0)
		return -ENOMEM;
	return add_extension(cert, issuer, nid, text);
}

static int set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	int ok = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		 BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

	BN_free(number);
	return ok ? 0 : -EIO;
}

static int set_subject(X509_NAME *name, const char *common_name)
{
	return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"adit",
					  -1, -1, 0) &&
			       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
							  (const unsigned char *)common_name, -1,
							  -1, 0)
		       ? 0
		       : -EIO;
}

/* A certificate without extensions; not signed. NULL on failure. */
static X509 *begin_cert(EVP_PKEY *key, const char *common_name, int n_days, int64_t now_ms)
{
	CLEANUP(X509_free) X509 *cert = X509_new();
	time_t now = (time_t)(now_ms / 1000);

	if (!cert || !X509_set_version(cert, X509_VERSION_3) || set_serial(cert) < 0 ||
	    set_subject(X509_get_subject_name(cert), common_name) < 0 ||
	    !X509_set_pubkey(cert, key) ||
	    !ASN1_TIME_set(X509_getm_notBefore(cert), now - CLOCK_SKEW_S) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), now + (time_t)n_days * SECONDS_PER_DAY))
		return NULL;
	return steal_ptr(cert);
}

struct extension {
	int nid;
	const char *value;
};

static int add_extensions(X509 *cert, X509 *issuer, const struct extension *list, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = add_extension(cert, issuer, list[i].nid, list[i].value);
	return r;
}

static X509 *make_ca(EVP_PKEY *key, const struct tls_names *names, int64_t now_ms)
{
	static const struct extension extensions[] = {
		{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
		{NID_key_usage, "critical,keyCertSign,cRLSign"},
		{NID_subject_key_identifier, "hash"},
	};
	CLEANUP(X509_free) X509 *cert = begin_cert(key, "adit edge CA", TLS_CA_DAYS, now_ms);

	if (!cert || !X509_set_issuer_name(cert, X509_get_subject_name(cert)) ||
	    add_extensions(cert, cert, extensions, ARRAY_SIZE(extensions)) < 0 ||
	    add_names(cert, cert, NID_name_constraints, write_constraints, names) < 0 ||
	    !X509_sign(cert, key, EVP_sha256()))
		return NULL;
	return steal_ptr(cert);
}

static X509 *make_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const struct tls_names *names,
			 int64_t now_ms)
{
	static const struct extension extensions[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature"},
		{NID_ext_key_usage, "serverAuth"},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid:always"},
	};
	CLEANUP(X509_free) X509 *cert = begin_cert(key, "adit edge", TLS_CERT_DAYS, now_ms);

	if (!cert || !X509_set_issuer_name(cert, X509_get_subject_name(ca)) ||
	    add_extensions(cert, ca, extensions, ARRAY_SIZE(extensions)) < 0 ||
	    add_names(cert, ca, NID_subject_alt_name, write_san, names) < 0 ||
	    !X509_sign(cert, ca_key, EVP_sha256()))
		return NULL;
	return steal_ptr(cert);
}

/* ---- files ---- */

static int write_pem(BIO *bio, const char *path, mode_t mode, struct diag *diag)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);
	int r = file_replace(path, mode, data, (size_t)n);

	return r < 0 ? fail_file(diag, path, r) : 0;
}

static int write_key(EVP_PKEY *key, const char *path, struct diag *diag)
{
	CLEANUP(BIO_free_all) BIO *bio = BIO_new(BIO_s_secmem());

	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		return fail(diag, "private key");
	return write_pem(bio, path, KEY_MODE, diag);
}

/* @issuer (may be NULL) follows, so that the file is a whole chain. */
static int write_cert(X509 *cert, X509 *issuer, const char *path, struct diag *diag)
{
	CLEANUP(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || !PEM_write_bio_X509(bio, cert) || (issuer && !PEM_write_bio_X509(bio, issuer)))
		return fail(diag, "certificate");
	return write_pem(bio, path, CERT_MODE, diag);
}

static int open_pem(const char *path, BIO **biop, char **datap, struct diag *diag)
{
	size_t n;
	int r = file_read(path, PEM_FILE_MAX, datap, &n);

	if (r < 0)
		return fail_file(diag, path, r);
	*biop = BIO_new_mem_buf(*datap, (int)n);
	return *biop ? 0 : fail(diag, path);
}

static int read_cert(const char *path, X509 **certp, struct diag *diag)
{
	CLEANUP(BIO_free_all) BIO *bio = NULL;
	CLEANUP(free) char *data = NULL;
	int r = open_pem(path, &bio, &data, diag);

	if (r < 0)
		return r;
	*certp = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	return *certp ? 0 : fail(diag, path);
}

static int read_key(const char *path, EVP_PKEY **keyp, struct diag *diag)
{
	CLEANUP(BIO_free_all) BIO *bio = NULL;
	CLEANUP(free) char *data = NULL;
	int r = open_pem(path, &bio, &data, diag);

	if (r < 0)
		return r;
	*keyp = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	explicit_bzero(data, strlen(data));
	return *keyp ? 0 : fail(diag, path);
}

static int refuse_overwrite(const char *path, struct diag *diag)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail_file(diag, path, -errno);
	diag_add(diag, DIAG_ERROR, 0,
		 "%s exists: a new CA would cut off everyone who trusts this one; a new "
		 "certificate of it comes from adit-edge cert renew",
		 path);
	return err_trace(-EEXIST);
}

/* ---- interface ---- */

int tls_ca_create(const char *cert_file, const char *key_file, const struct tls_names *names,
		  int64_t now_ms, struct diag *diag)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	CLEANUP(X509_free) X509 *cert = NULL;
	struct tls_names all = *names;
	int r = refuse_overwrite(cert_file, diag);

	if (r == 0)
		r = refuse_overwrite(key_file, diag);
	if (r < 0)
		return r;
	tls_names_add_builtin(&all);
	key = EVP_EC_gen("P-256");
	cert = key ? make_ca(key, &all, now_ms) : NULL;
	if (!cert)
		return fail(diag, "CA certificate");
	r = write_key(key, key_file, diag);
	return r < 0 ? r : write_cert(cert, NULL, cert_file, diag);
}

/* Would a peer accept it? Name constraints that forbid a name are found here. */
static int verify(X509 *cert, X509 *ca, int64_t now_ms, struct diag *diag)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int code = X509_V_ERR_UNSPECIFIED;

	if (store && ctx && X509_STORE_add_cert(store, ca) &&
	    X509_STORE_CTX_init(ctx, store, cert, NULL)) {
		X509_STORE_CTX_set_time(ctx, 0, (time_t)(now_ms / 1000));
		code = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	if (code == X509_V_OK)
		return 0;
	if (code == X509_V_ERR_PERMITTED_VIOLATION)
		diag_add(diag, DIAG_ERROR, 0,
			 "the CA was made for other names: a new name needs a new CA (adit-edge "
			 "init in another state directory)");
	else
		diag_add(diag, DIAG_ERROR, 0, "the CA does not fit: %s",
			 X509_verify_cert_error_string(code));
	return err_trace(-EPERM);
}

int tls_ca_issue(const char *ca_cert_file, const char *ca_key_file, const char *cert_file,
		 const char *key_file, const struct tls_names *names, int64_t now_ms,
		 struct diag *diag)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *ca_key = NULL;
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	CLEANUP(X509_free) X509 *ca = NULL;
	CLEANUP(X509_free) X509 *cert = NULL;
	struct tls_names all = *names;
	int r = read_cert(ca_cert_file, &ca, diag);

	if (r == 0)
		r = read_key(ca_key_file, &ca_key, diag);
	if (r < 0)
		return r;
	if (X509_check_private_key(ca, ca_key) != 1) {
		diag_add(diag, DIAG_ERROR, 0, "%s is not the key of %s", ca_key_file, ca_cert_file);
		return err_trace(-EINVAL);
	}
	tls_names_add_builtin(&all);
	key = EVP_EC_gen("P-256");
	cert = key ? make_server(key, ca, ca_key, &all, now_ms) : NULL;
	if (!cert)
		return fail(diag, "server certificate");
	r = verify(cert, ca, now_ms, diag);
	if (r == 0)
		r = write_key(key, key_file, diag);
	return r < 0 ? r : write_cert(cert, ca, cert_file, diag);
}

/* ---- reading ---- */

static void read_name(const GENERAL_NAME *name, struct tls_names *names)
{
	const ASN1_OCTET_STRING *s;
	struct ip_addr ip = {0};
	char text[HOST_NAME_MAX_LEN + 1];
	int n;

	if (name->type == GEN_DNS) {
		s = name->d.dNSName;
		n = ASN1_STRING_length(s);
		if (n > HOST_NAME_MAX_LEN)
			return;
		snprintf(text, sizeof(text), "%.*s", n, (const char *)ASN1_STRING_get0_data(s));
		(void)tls_names_add(names, text);
	} else if (name->type == GEN_IPADD) {
		s = name->d.iPAddress;
		n = ASN1_STRING_length(s);
		if (n != 4 && n != 16)
			return;
		ip.family = n == 4 ? AF_INET : AF_INET6;
		memcpy(ip.bytes, ASN1_STRING_get0_data(s), (size_t)n);
		(void)add_ip(names, &ip);
	}
}

static void read_names(const X509 *cert, struct tls_names *names)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++)
		read_name(sk_GENERAL_NAME_value(list, i), names);
	GENERAL_NAMES_free(list);
}

int tls_cert_read(const char *cert_file, struct tls_names *namesp, int64_t *not_after_msp,
		  struct diag *diag)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	struct tm end;
	int r = read_cert(cert_file, &cert, diag);

	if (r < 0)
		return r;
	if (not_after_msp && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) != 1)
		return fail(diag, cert_file);
	if (not_after_msp)
		*not_after_msp = (int64_t)timegm(&end) * 1000;
	*namesp = (struct tls_names){0};
	read_names(cert, namesp);
	return 0;
}
