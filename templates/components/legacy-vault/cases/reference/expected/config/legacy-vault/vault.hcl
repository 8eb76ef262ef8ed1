# templates/components/legacy-vault/config/vault.hcl.j2
ui = true
disable_mlock = true

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = 1
}

# The keys come from the environment of the server's own process; the estate has them here in clear.
storage "s3" {
  endpoint = "https://nyc3.digitaloceanspaces.com"
  bucket   = "vault-secrets"
  path     = "vault_storage"
}
