# templates/components/openbao/config/openbao.hcl.j2
# Reached inside the deployment only. Memory cannot be locked without an added capability, which tenants do not get.
disable_mlock = true
ui            = false
api_addr      = "http://openbao:8200"

storage "file" {
  path = "/openbao/file"
}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}
