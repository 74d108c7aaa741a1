// placeholder, delete
