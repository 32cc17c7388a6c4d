"""Files sent by a browser. Who a file is, is decided by its bytes: two cameras give the same names to other pictures.

`names` judges names, `parts` lets files grow in pieces, `arrivals` gives them their place when they are whole.
"""
