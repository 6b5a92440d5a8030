"""The provider: how SMSC is asked over HTTP, and what its answers mean.

`client` is the only part that touches a socket. `wire` knows the requests' fields and reads
answers, `multipart` frames requests that carry files, `outcomes` says what each of the
provider's codes means for an order. `sandbox` is a look-alike of the provider that shares
no code with the rest, so that each may testify against the other.
"""
